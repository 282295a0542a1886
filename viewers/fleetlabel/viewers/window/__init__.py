"""The app's window: Open3D's widgets around the headless editor. The only part of the app that needs a screen."""
