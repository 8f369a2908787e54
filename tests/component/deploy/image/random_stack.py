"""Random stacks of layers, for the comparison with a reference unpacker. Equal seeds give equal stacks."""
import json, os, random, subprocess, tarfile
import image_lab as lab

NAMES = ['a', 'b', 'c', 'd', 'long-' + 'n' * 120, 'ü', 'with space']

class Stack:
    """Keeps the merged tree in mind, so that entries refer to what is there: path → 'd' directory, 'i' directory that no
    entry declares, 'f' file, 'l' symlink, 'p' fifo, 'c' device."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.tree = {'.': 'i'}
        self.times = {}

    def path(self, depth=3):
        return '/'.join(self.rng.choice(NAMES) for _ in range(self.rng.randint(1, depth)))

    def existing(self, kinds):
        found = [p for p, k in self.tree.items() if k in kinds and p != '.']
        return self.rng.choice(sorted(found)) if found else None

    def remove(self, path):
        for p in [p for p in self.tree if p == path or p.startswith(path + '/')]:
            del self.tree[p]

    def attributes(self):
        rng = self.rng
        more = {'uid': rng.choice([0, 0, 1, 1000, 70000]), 'gid': rng.choice([0, 0, 5, 3000000]),
                'mtime': rng.choice([0, 1000000000, 1234567890.125, 2**31 + 5])}
        if rng.random() < 0.2:
            more['xattrs'] = {'user.n%d' % rng.randint(0, 3): 'v' * rng.randint(0, 200)}
        return more

    def declared(self, path):
        more = self.attributes()
        self.tree[path], self.times[path] = 'd', int(more['mtime'] * 1000) * 1000000
        return more

    def parents_ok(self, path):
        """No symlink or file on the way, in the merged tree: where those lead is another test's matter."""
        parts = path.split('/')
        return all(self.tree.get('/'.join(parts[:i]), 'd') in 'di' for i in range(1, len(parts)))

    def layer(self, number):
        rng, out, here = self.rng, [], set()
        if number == 0 or rng.random() < 0.3:
            out.append(lab.directory('./', mode=rng.choice([0o755, 0o711]), **self.declared('.')))
        if number and rng.random() < 0.15:
            out.append(lab.entry('.wh..wh..opq'))
            self.tree = {'.': self.tree['.']}
        for _ in range(rng.randint(1, 14)):
            choice = rng.random()
            if number and choice < 0.18:
                path = self.existing('difl')
                if path and path not in here and not any(p.startswith(path + '/') for p in here) and self.parents_ok(path):
                    parent, _, name = path.rpartition('/')
                    out.append(lab.entry((parent + '/' if parent else '') + '.wh.' + name))
                    here.add(path)
                    self.remove(path)
                continue
            if number and choice < 0.24:
                path = self.existing('di')
                if path and not any(p == path or p.startswith(path + '/') for p in here):
                    out.append(lab.entry(path + '/.wh..wh..opq'))
                    here.add(path)
                    for p in [p for p in self.tree if p.startswith(path + '/')]:
                        del self.tree[p]
                continue
            if choice < 0.27:  # what AUFS left behind says nothing
                parent = self.existing('d')
                if parent and self.parents_ok(parent + '/x'):
                    out.append(lab.entry(rng.choice(['', parent + '/']) + '.wh..wh.' + rng.choice(['aufs', 'orph', 'plnk'])))
                    here.add(parent)
                continue
            path = self.existing('dif') if rng.random() < 0.3 and self.tree else self.path()
            if path is None or path in here or not self.parents_ok(path) or any(p.startswith(path + '/') for p in here):
                continue
            out.extend(self.member(path, here))
            here.add(path)
        return lab.tar(*out)

    def member(self, path, here):
        rng = self.rng
        kind = rng.random()
        mode = rng.choice([0o644, 0o755, 0o600, 0o4755, 0o2711, 0o1777, 0o000])
        for i in range(1, path.count('/') + 1):  # parents that nobody names
            self.tree.setdefault('/'.join(path.split('/')[:i]), 'i')
        if kind < 0.35:
            if self.tree.get(path, 'd') not in 'di':
                self.remove(path)
            return [lab.directory(path + '/', mode=mode, **self.declared(path))]
        more = self.attributes()
        self.remove(path)
        if kind < 0.5:
            target = rng.choice(['a', '../b', '/c/d', 'nowhere'])
            self.tree[path] = 'l'
            return [lab.symlink(path, target, **dict(more, xattrs=None))]
        self.tree[path] = 'f'
        if kind < 0.6:
            source = [p for p in sorted(here) if self.tree.get(p) == 'f' and p != path]
            if source:
                return [lab.hardlink(path, rng.choice(source))]
        if kind < 0.66:
            self.tree[path] = 'p'
            return [lab.entry(path, tarfile.FIFOTYPE, mode=0o644, **dict(more, xattrs=None))]
        if kind < 0.7:
            self.tree[path] = 'c'
            return [lab.entry(path, tarfile.CHRTYPE, mode=0o600, dev=(1, 3), **dict(more, xattrs=None))]
        return [lab.entry(path, data=rng.randbytes(rng.choice([0, 1, 511, 512, 513, 5000, 200000])), mode=mode, **more)]

def unpack(image, rootfs):
    done = subprocess.run(['umoci', 'raw', 'unpack', '--image', image, rootfs], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit('umoci: ' + done.stdout + done.stderr)

def write(root, blobs, first, count):
    """One OCI layout over the blob directory BLOBS with the stacks of `count` seeds, each unpacked by umoci to
    ROOT/<seed>/rootfs. Prints "seed digest" lines; ROOT/<seed>.directories holds the time each directory's last entry
    gives it, null for those without an entry."""
    layout, store = os.path.join(root, 'layout'), lab.Blobs(blobs)
    os.makedirs(os.path.join(layout, 'blobs'))
    os.symlink(blobs, os.path.join(layout, 'blobs', 'sha256'))
    with open(os.path.join(layout, 'oci-layout'), 'w') as f:
        json.dump({'imageLayoutVersion': '1.0.0'}, f)
    for seed in range(first, first + count):
        stack = Stack(seed)
        layers = [stack.layer(i) for i in range(stack.rng.randint(1, 5))]
        digest = lab.image(store, layers, stack.rng.choice([lab.GZIP, lab.GZIP, lab.PLAIN]))
        with open(os.path.join(root, '%d.directories' % seed), 'w') as f:
            json.dump({p: stack.times[p] if kind == 'd' else None for p, kind in stack.tree.items() if kind in 'di'}, f)
        with open(os.path.join(layout, 'index.json'), 'w') as f:
            json.dump({'schemaVersion': 2, 'manifests': [{
                'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': digest,
                'size': os.path.getsize(os.path.join(blobs, digest[7:])),
                'annotations': {'org.opencontainers.image.ref.name': 'x'}}]}, f)
        reference = os.path.join(root, str(seed))
        os.makedirs(reference)
        unpack(layout + ':x', os.path.join(reference, 'rootfs'))
        print(seed, digest)
