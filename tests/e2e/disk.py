"""Other file systems below the state of an agent: one in memory, and a small ext4 in a file beside it, which a test can break as it likes."""
import os
import subprocess

import fixture


class Disk:
    def __init__(self, agent, size=400 << 20, make=(), options="loop"):
        """`make`: more for mkfs.ext4; `options`: of each mount."""
        self.where, self.image, self.options = agent.state, agent.state.with_suffix(".img"), options
        with open(self.image, "wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", *make, self.image], check=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", self.options, self.image, self.where], check=True)

    def unmount(self):
        fixture.wait_until("nothing uses the disk", self.is_unused, 20)

    def is_unused(self):
        """Not in namespaces either that others made meanwhile: mount would go on with the loop device, and the file system, they hold."""
        subprocess.run(["umount", self.where], stderr=subprocess.DEVNULL, check=False)
        return not os.path.ismount(self.where) and not subprocess.check_output(["losetup", "-j", self.image])

    def remove(self):
        """Also one that was shut down and gives nothing back."""
        try:
            self.unmount()
        except AssertionError:
            subprocess.run(["umount", "-l", self.where], check=False)
        subprocess.run(["rm", "-rf", self.where, self.image], check=True)


class Memory(Disk):
    """For hundreds of thousands of directories, of which this host's disk removes a thousand in a second."""

    def __init__(self, agent):  # no super().__init__: nothing of it is on a disk
        self.where, self.image = agent.state, agent.state.with_suffix(".none")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g,nr_inodes=4m", "none", self.where], check=True)
        agent.write_config()

    def is_unused(self):
        subprocess.run(["umount", self.where], stderr=subprocess.DEVNULL, check=False)
        return not os.path.ismount(self.where)
