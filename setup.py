"""`pip install .` gives the commands jabberd and jabberctl."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent


def requirements(name):
    lines = (line.partition("#")[0].strip() for line in (here / name).read_text().splitlines())
    return [line for line in lines if line]


setup(
    name="jabberd_py",
    version=re.search(r'__version__ = "(.+?)"', (here / "jabberd_py/__init__.py").read_text())[1],
    description="A small, fast XMPP server in the shape of jabberd 1.x, on greenlets",
    author="The jabberd_py authors",
    license="MIT",
    python_requires=">=3.11",
    install_requires=requirements("requirements.txt"),
    packages=find_packages(include=["jabberd_py", "jabberd_py.*"]),
    package_data={"jabberd_py": ["py.typed", "web/templates/**/*.html", "web/static/*"]},
    entry_points={
        "console_scripts": [
            "jabberd = jabberd_py.__main__:main",
            "jabberctl = jabberd_py.ctl.main:main",
        ]
    },
)
