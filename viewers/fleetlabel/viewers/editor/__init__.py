"""The annotation app without its pixels: state, commands, picking, gizmos, keys, prefetching. No window, no Open3D.

:class:`~fleetlabel.viewers.editor.editor.Editor` takes keys and the pointer, and says which panels to draw again.
"""
