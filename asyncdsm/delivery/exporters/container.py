"""Finds out in which container this process runs. The Agent adds the container's tags (protocol §6, headers)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

CGROUP_FILE = "/proc/self/cgroup"
CGROUP_MOUNT = "/sys/fs/cgroup"
HOST_CGROUP_NAMESPACE = 0xEFFFFFFB
_CONTAINER_ID = re.compile(r"(?:.*[-/])?([0-9a-f]{64}|[0-9a-f]{32}-\d+|[0-9a-f]{8}(?:-[0-9a-f]{4}){4}$)(?:\.scope)?$")


def container_headers(external_env: str | None) -> dict[str, str]:
    """Return the headers that identify the container of this process; no header outside of a container."""
    headers = {"Datadog-External-Env": external_env} if external_env else {}
    try:
        with open(CGROUP_FILE, encoding="utf-8", errors="replace") as file:
            lines = file.read(64 * 1024).splitlines()
    except OSError:
        return headers
    container = container_id(lines)
    if container:
        return {**headers, "Datadog-Container-ID": container, "Datadog-Entity-ID": f"ci-{container}"}
    inode = _cgroup_inode(lines)
    return {**headers, "Datadog-Entity-ID": f"in-{inode}"} if inode else headers


def container_id(cgroup_lines: Iterable[str]) -> str | None:
    """Return the first container id that a line of `/proc/self/cgroup` ends with, None if there is none."""
    for line in cgroup_lines:
        if found := _CONTAINER_ID.match(line.strip().rpartition(":")[2]):
            return found[1]
    return None


def _cgroup_inode(cgroup_lines: Iterable[str]) -> int | None:
    """Return the inode of the cgroup, which identifies the container if a private cgroup namespace hides its id."""
    try:
        if os.stat("/proc/self/ns/cgroup").st_ino == HOST_CGROUP_NAMESPACE:
            return None
        for line in cgroup_lines:
            _, controllers, path = line.strip().split(":", 2)
            if controllers in {"", "memory"}:
                return os.stat(f"{CGROUP_MOUNT}/{controllers}{path}").st_ino
    except (OSError, ValueError):
        return None
    return None
