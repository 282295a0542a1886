"""What driving data is made of: sensors, cameras, sweeps, boxes, classes, and the errors about them."""
