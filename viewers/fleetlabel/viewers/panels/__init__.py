"""Pictures of the app's panels: drawn with nothing but arrays, so that a window, a test or a browser can show them."""
