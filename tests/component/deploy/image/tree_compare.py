"""Two trees, entry by entry: `image_lab.py compare`. Standard library only."""
import hashlib, json, os, stat

def snapshot(root):
    """path → what it is; hard links as the sorted paths of their group."""
    seen, links = {}, {}
    for here, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files + ([b''] if here == os.fsencode(root) else []):
            path = os.path.join(here, name) if name else here
            key = os.path.relpath(path, os.fsencode(root))
            info = os.lstat(path)
            what = {'type': stat.S_IFMT(info.st_mode), 'mode': oct(info.st_mode & 0o7777), 'owner': (info.st_uid, info.st_gid),
                    'mtime': info.st_mtime_ns}
            what['xattrs'] = {n: os.getxattr(path, n, follow_symlinks=False) for n in sorted(os.listxattr(path, follow_symlinks=False))
                              if not n.startswith(('trusted.overlay', 'security.selinux', 'user.umoci', 'user.rootlesscontainers'))}
            if stat.S_ISREG(info.st_mode):
                with open(path, 'rb') as f:
                    what['content'] = hashlib.sha256(f.read()).hexdigest()
                links.setdefault((info.st_dev, info.st_ino), []).append(key)
                what['inode'] = (info.st_dev, info.st_ino)
            if stat.S_ISLNK(info.st_mode):
                what['target'] = os.readlink(path)
            if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
                what['device'] = info.st_rdev
            seen[key] = what
    for what in seen.values():
        if 'inode' in what:
            what['links'] = sorted(links[what.pop('inode')])
    return seen

# What the synthetic top adds for the runtime.
MOUNT_POINTS = {b'proc', b'dev', b'sys', b'run', b'tmp', b'run/secrets', b'etc', b'etc/hosts', b'etc/hostname', b'etc/resolv.conf'}

def settle(ours, reference, directories):
    """Evens out what the specification leaves open. umoci gives a directory the time of unpacking when a layer changes what
    is in it without naming it: ours must have the time of its last entry. A directory that no entry names has in umoci
    whatever mkdir gives it: time, and group and setgid of the directory above."""
    for name, mtime in directories.items():
        path = os.fsencode(name)
        if path not in ours or path not in reference:
            continue
        reference[path]['mtime'] = ours[path]['mtime'] if mtime is None else mtime
        if mtime is None:
            for side in (ours, reference):
                side[path].update(mode=oct(int(side[path]['mode'], 8) & 0o777), owner=side[path]['owner'][0])

def compare(ours, reference, directories):
    a, b = snapshot(ours), snapshot(reference)
    settle(a, b, directories)
    differences = []
    for path in sorted(set(a) | set(b)):
        if path not in b:
            if path not in MOUNT_POINTS:
                differences.append('only in ours: %r' % path)
        elif path not in a:
            differences.append('missing: %r' % path)
        else:
            differences += ['%r: %s is %r, should be %r' % (path, key, a[path].get(key), b[path][key])
                            for key in b[path] if a[path].get(key) != b[path][key]]
    return differences

def compare_all(lines):
    """Prints what differs, and how much was compared: nothing compared is a failure too."""
    pairs = failed = 0
    for line in lines:
        ours, reference, *known = line.split()
        differences = compare(ours, reference, json.load(open(known[0])) if known else {})
        pairs += 1
        failed += bool(differences)
        for difference in differences[:10]:
            print(reference, difference)
    print(pairs, 'compared,', failed, 'differ')
    return 1 if failed or not pairs else 0
