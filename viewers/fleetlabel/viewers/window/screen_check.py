"""Whether this machine can open a window at all: asked before Open3D is, which would end the process."""

from __future__ import annotations

import ctypes
import os
from importlib.util import find_spec

from fleetlabel.model.errors import UsageError

_PACKAGES = "mesa-vulkan-drivers libvulkan1 libgl1 libegl1"
_APPLICATION_INFO, _INSTANCE_INFO, _VULKAN_1_1 = 0, 1, (1 << 22) | (1 << 12)


class _InstanceInfo(ctypes.Structure):
    """VkInstanceCreateInfo."""

    _fields_ = (
        ("sType", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("pApplicationInfo", ctypes.c_void_p),
        ("enabledLayerCount", ctypes.c_uint32),
        ("ppEnabledLayerNames", ctypes.c_void_p),
        ("enabledExtensionCount", ctypes.c_uint32),
        ("ppEnabledExtensionNames", ctypes.c_void_p),
    )


class _ApplicationInfo(ctypes.Structure):
    """VkApplicationInfo."""

    _fields_ = (
        ("sType", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("pApplicationName", ctypes.c_char_p),
        ("applicationVersion", ctypes.c_uint32),
        ("pEngineName", ctypes.c_char_p),
        ("engineVersion", ctypes.c_uint32),
        ("apiVersion", ctypes.c_uint32),
    )


def require_screen() -> None:
    """Refuses, in words, what Open3D would abort on.

    Raises:
        UsageError: there is no display, no Vulkan driver or no Open3D; says what to do.
    """
    if find_spec("open3d") is None:
        raise UsageError("the app needs Open3D; install it with: pip install 'fleetlabel[view]'")
    display = os.environ.get("DISPLAY", "")
    if not display and not os.environ.get("WAYLAND_DISPLAY"):
        raise UsageError(
            "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set. Run this on a desktop, over `ssh -X`, "
            "or under `xvfb-run -s '-screen 0 1600x1000x24'`; `fleetlabel render` draws pictures without a display"
        )
    if display and not _display_opens(display):
        raise UsageError(f"the display {display!r} cannot be opened; check DISPLAY, and xauth or `xhost`")
    problem = vulkan_problem()
    if problem:
        raise UsageError(
            f"{problem}. Open3D draws with Vulkan, in software where there is no graphics card; install a driver: "
            f"sudo apt-get install {_PACKAGES}"
        )


def vulkan_problem() -> str:
    """Why nothing can be drawn with Vulkan, in words; "" if something can."""
    try:
        vulkan = ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return "the Vulkan library libvulkan.so.1 is missing"
    application = _ApplicationInfo(sType=_APPLICATION_INFO, apiVersion=_VULKAN_1_1)
    info = _InstanceInfo(sType=_INSTANCE_INFO)
    info.pApplicationInfo = ctypes.cast(ctypes.pointer(application), ctypes.c_void_p)
    instance, count = ctypes.c_void_p(), ctypes.c_uint32(0)
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)) != 0:
        return "there is no Vulkan driver"
    found = vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None) == 0 and count.value > 0
    vulkan.vkDestroyInstance(instance, None)
    return "" if found else "no Vulkan driver offers a device"


def _display_opens(name: str) -> bool:
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True  # not known; Open3D brings its own
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    handle = x11.XOpenDisplay(name.encode())
    if not handle:
        return False
    x11.XCloseDisplay(handle)
    return True
