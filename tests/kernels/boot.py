#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run a command under another kernel: in an emulated machine, with this machine's programs.

usage: boot.py KERNEL OUT COMMAND...      KERNEL: 6.1 or 6.12 (tools/fetch-kernels); OUT: an empty folder

The command starts in the source tree. The guest has the host's /usr, this tree and the build where they are here,
read-only, by 9p; a /tmp of its own; /out, which is OUT; root; and no network but loopback. The command's output and
exit code are in OUT/output and OUT/status, the console in OUT/console. No KVM and no root is needed. The emulator is
slow: some ten times slower than the processor, with as many processors as this machine has (two at most).
"""

import glob
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("CLEW_BUILD", "build"))
KERNELS = os.path.join(ROOT, ".deps", "kernels")
LIMIT = 1500  # seconds

# Of /etc, what programs under /usr look into: no file there that only root may read.
ETC = ("alternatives", "group", "java-*", "ld.so.cache", "mime.types", "nsswitch.conf", "passwd", "protocols",
       "services")


def folders():
    """What the guest sees of the host, each under its own name."""
    out = ["/usr", ROOT]
    if os.path.commonpath([BUILD, ROOT]) != ROOT:
        out.append(BUILD)
    return out


def make_initramfs(kernel, work):
    """The file system that the kernel starts with, as a file: busybox, modules, a small /etc, and init."""
    top = os.path.join(work, "top")
    for name in ("bin", "dev", "etc", "proc", "sys", "new"):
        os.makedirs(os.path.join(top, name))
    shutil.copy(shutil.which("busybox"), os.path.join(top, "bin", "busybox"))
    shutil.copy(os.path.join(HERE, "init"), os.path.join(top, "init"))
    shutil.copytree(os.path.join(KERNELS, kernel, "modules"), os.path.join(top, "modules"))
    for path in (path for pattern in ETC for path in glob.glob(os.path.join("/etc", pattern))):
        to = os.path.join(top, "etc", os.path.basename(path))
        if os.path.isdir(path):
            shutil.copytree(path, to, symlinks=True)
        else:
            shutil.copy(path, to)
    with open(os.path.join(top, "etc", "hosts"), "w") as f:
        f.write("127.0.0.1 localhost\n::1 localhost\n")
    with open(os.path.join(top, "folders"), "w") as f:
        f.writelines(folder + "\n" for folder in folders())
    image = os.path.join(work, "initramfs")
    with open(image, "wb") as f:
        subprocess.run("find . -print0 | cpio --null --create --format=newc --quiet --owner=0:0", shell=True, check=True,
                       cwd=top, stdout=f)
    return image


def machine(kernel, image, out):
    """The emulator's command line."""
    args = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "2G",
            "-smp", str(min(os.cpu_count() or 1, 2)), "-display", "none", "-monitor", "none", "-nic", "none",
            "-no-reboot", "-serial", "file:" + os.path.join(out, "console"),
            "-kernel", os.path.join(KERNELS, kernel, "vmlinuz"), "-initrd", image,
            "-append", "console=ttyS0 panic=-1 clew.kernels=%s" % kernel,
            "-virtfs", "local,path=%s,mount_tag=out,security_model=none" % out.replace(",", ",,")]
    for n, folder in enumerate(folders()):
        args += ["-virtfs", "local,path=%s,mount_tag=host%d,security_model=none,readonly=on,multidevs=remap"
                 % (folder.replace(",", ",,"), n)]
    return args


def boot(kernel, out, command, limit=LIMIT):
    """Runs the command there and gives its exit code; RuntimeError with the console's end where the guest had none."""
    out = os.path.abspath(out)
    with open(os.path.join(out, "command"), "w") as f:
        f.write("export CLEW_BUILD=%s PYTHONDONTWRITEBYTECODE=1\n" % shlex.quote(BUILD))
        f.write("cd %s\nexec " % shlex.quote(ROOT) + shlex.join(command) + "\n")
    with tempfile.TemporaryDirectory(prefix="clew-kernels.") as work:
        image = make_initramfs(kernel, work)
        try:
            subprocess.run(machine(kernel, image, out), check=True, timeout=limit, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            pass
    try:
        with open(os.path.join(out, "status")) as f:
            return int(f.read())
    except (FileNotFoundError, ValueError):
        with open(os.path.join(out, "console"), errors="replace") as f:
            raise RuntimeError("the machine with kernel %s did not come to its end in %d s; its console ends:\n%s"
                               % (kernel, limit, f.read()[-3000:])) from None


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the machine is not to outlive us
    status = boot(sys.argv[1], sys.argv[2], sys.argv[3:])
    with open(os.path.join(sys.argv[2], "output"), errors="replace") as said:
        sys.stdout.write(said.read())
    sys.exit(status)
