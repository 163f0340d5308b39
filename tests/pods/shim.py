"""Turns itself into a container: namespaces, mounts, a read-only root, an unprivileged user, then the command.

    python -I -S shim.py spec.json

Only the standard library, and no import of this project: it starts within milliseconds. The command is process 1 of its
container, as under any runtime, so a SIGTERM that nobody handles is lost.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1

# What a program needs of a distribution. /home, /root, /opt, /var and the rest of /etc stay out of sight.
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/ssl", "/etc/localtime", "/etc/alternatives"),
)

libc = ctypes.CDLL(None, use_errno=True)


class MountAttributes(ctypes.Structure):
    """`struct mount_attr` of mount_setattr(2)."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def main() -> int:
    """Start the container and wait for its end. Returns its exit status, 128 + signal if one killed it."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    die_with_parent()
    with open(spec["network"]) as network:  # noqa: PTH123  # a file descriptor is wanted
        check(libc.setns(network.fileno(), CLONE_NEWNET), "setns", spec["network"])
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC), "unshare")
    hostname = spec["hostname"].encode()
    check(libc.sethostname(hostname, len(hostname)), "sethostname")
    executed, executing = os.pipe2(os.O_CLOEXEC)
    pid_file = Path(spec["pid_file"]).open("w")  # noqa: SIM115  # the child takes the root away from both
    child = os.fork()
    if child == 0:
        os.close(executed)
        die_with_parent()
        enter_root(spec)
        become(spec["uid"], spec["gid"])
        os.chdir(spec["working_dir"])
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])
    os.close(executing)
    os.read(executed, 1)  # its end is the command's beginning: from now on signals reach the command
    pid_file.write(str(child))
    pid_file.close()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def enter_root(spec: dict[str, Any]) -> None:
    """Build a root of this machine's programs and the container's volumes, and make it the only one."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    root = spec["root"]
    if image := spec["image"]:
        lay_over(image, root, spec["scratch"])
    else:
        mount("tmpfs", root, "tmpfs", 0, "mode=755")
        for path in SYSTEM:
            share(Path(path), root)
    for path in ("/dev", "/sys"):
        bind(path, f"{root}{path}", read_only=False)
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", 0, "size=64m")
    Path(f"{root}/proc").mkdir(exist_ok=True)
    mount("proc", f"{root}/proc", "proc", 0)
    for name, text in spec["files"].items():
        write(Path(f"{root}{name}"), text)
    Path(f"{root}/tmp").mkdir(exist_ok=True)
    for volume in sorted(spec["mounts"], key=lambda volume: str(volume["path"])):
        bind(volume["source"], f"{root}{volume['path']}", read_only=volume["read_only"])
    if spec["read_only"]:
        make_read_only(root, recursive=False)
    os.chdir(root)
    check(libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root", root)
    check(libc.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/")


def lay_over(image: str, root: str, scratch: str) -> None:
    """Show the files of an image, over which this container's own come."""
    mount("tmpfs", scratch, "tmpfs", 0, "mode=755")
    for name in ("upper", "work"):
        Path(f"{scratch}/{name}").mkdir()
    mount("overlay", root, "overlay", 0, f"lowerdir={image},upperdir={scratch}/upper,workdir={scratch}/work")


def share(path: Path, root: str) -> None:
    """Show a folder, file or link of this machine at its own path, if it has one."""
    target = Path(f"{root}{path}")
    if path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.readlink())
    elif path.exists():
        bind(str(path), str(target), read_only=True)


def write(path: Path, text: str) -> None:
    """A file of the image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def become(uid: int, gid: int) -> None:
    """Give up every right: a user namespace in which this process is `uid`, and no way back."""
    check(libc.unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{gid} 0 1")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def die_with_parent() -> None:
    """No container outlives the runner."""
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def bind(source: str, target: str, *, read_only: bool) -> None:
    """Mount a folder or file of this machine."""
    if not Path(target).exists():
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).mkdir() if Path(source).is_dir() else Path(target).touch()
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        make_read_only(target)


def make_read_only(target: str, *, recursive: bool = True) -> None:
    """Forbid writing to a mount and, if recursive, to those below it."""
    attributes = MountAttributes(attr_set=MOUNT_ATTR_RDONLY)
    status = libc.syscall(
        SYS_MOUNT_SETATTR,
        AT_FDCWD,
        target.encode(),
        AT_RECURSIVE if recursive else 0,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )
    check(status, "mount_setattr", target)


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    status = libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, data.encode())
    check(status, "mount", target)


def check(status: int, call: str, subject: str = "") -> None:
    """Raise the OSError of a failed system call."""
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", subject)


if __name__ == "__main__":
    sys.exit(main())
