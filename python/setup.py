"""The extension in C, where there is what it is made of: beside this package, in
Lockkeeper's own sources.  Without, the package is Python alone."""
import pathlib

from setuptools import Extension, setup

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "src"
FILES = ["base/buf.c", "base/die.c", "base/error.c", "client/frame.c",
         "resp/value.c", "resp/wire.c"]

extensions = []
if SOURCE.is_dir():
    extensions.append(Extension(
        "lockkeeper._cresp",
        ["lockkeeper/_cresp.c", *(f"../src/{name}" for name in FILES)],
        include_dirs=["../src", "../include"], optional=True,
        extra_compile_args=["-std=gnu11", "-fvisibility=hidden"]))

setup(ext_modules=extensions)
