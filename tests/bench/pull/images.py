"""The images of the pull bench: OCI layouts of this host's own files, made once and kept in the cache of the test images."""
import hashlib, json, os, subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CACHE = Path(os.environ.get('HOLDFAST_TEST_CACHE', '/var/tmp/holdfast-test-images')) / 'bench-pull-4'
SHARE = ['bin', 'lib', 'share', 'include', 'sbin', 'src']
MEGA = 1 << 20

def files(limit_bytes, limit_entries, skip=0):
    """Directories and files of /usr in a fixed order, no file over 64 MB, until one of the limits is reached."""
    out, size = [], 0
    for top in SHARE:
        for here, directories, names in os.walk('/usr/' + top):
            directories.sort()
            out.append((here[1:], 0))
            for name in sorted(names):
                info = os.lstat(os.path.join(here, name))
                if info.st_size > 64 * MEGA or info.st_dev != os.lstat('/usr').st_dev:
                    continue
                size += info.st_size
                if size > skip:
                    out.append((os.path.join(here, name)[1:], info.st_size))
                if size - skip > limit_bytes or len(out) > limit_entries:
                    return out
    return out

def split(entries, layers):
    """Consecutive parts of about equal size, as directories are added by a build."""
    total, out, size = sum(s for _, s in entries), [[]], 0
    for name, length in entries:
        if size > total / layers * len(out) and len(out) < layers:
            out.append([])
        out[-1].append(name)
        size += length
    return out

def pack(names, into, how):
    """(digest, size, diff_id) of the layer with these files of /."""
    part = into / ('part-%d' % abs(hash((tuple(names[:1]), how))))
    tar = subprocess.Popen(['tar', '-C', '/', '--no-recursion', '--null', '-T', '-', '--format=posix', '--numeric-owner', '-cf', '-'],
                           stdin=subprocess.PIPE, stdout=open(str(part) + '.tar', 'wb'), stderr=subprocess.DEVNULL)
    tar.communicate(b'\0'.join(os.fsencode(n) for n in names))
    diff_id = hashlib.file_digest(open(str(part) + '.tar', 'rb'), 'sha256').hexdigest()
    command = ['gzip', '-6', '-n', '-c'] if how == 'gzip' else ['zstd', '-q', '-3', '-c']
    with open(part, 'wb') as out:
        subprocess.run(command + [str(part) + '.tar'], stdout=out, check=True)
    os.unlink(str(part) + '.tar')
    digest = hashlib.file_digest(open(part, 'rb'), 'sha256').hexdigest()
    size = part.stat().st_size
    part.rename(into / digest)
    return digest, size, diff_id

def blob(into, document):
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    (into / digest).write_bytes(data)
    return 'sha256:' + digest, len(data)

def write(layout, name, layers, how):
    into = layout / 'blobs/sha256'
    config, config_size = blob(into, {'architecture': 'amd64', 'os': 'linux', 'config': {'Cmd': ['/bin/true']},
                                      'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + d for _, _, d in layers]}})
    media = 'application/vnd.oci.image.'
    digest, size = blob(into, {'schemaVersion': 2, 'mediaType': media + 'manifest.v1+json',
                               'config': {'mediaType': media + 'config.v1+json', 'digest': config, 'size': config_size},
                               'layers': [{'mediaType': media + 'layer.v1.tar+' + how, 'digest': 'sha256:' + d, 'size': s} for d, s, _ in layers]})
    return {'mediaType': media + 'manifest.v1+json', 'digest': digest, 'size': size,
            'annotations': {'org.opencontainers.image.ref.name': name}}

def update_layer(into, number):
    """7 MB that do not compress."""
    path = CACHE / ('update-%d' % number)
    path.mkdir(parents=True, exist_ok=True)
    names = []
    for i in range(7):
        seed = b'%d-%d' % (number, i)
        (path / str(i)).write_bytes(hashlib.shake_256(seed).digest(MEGA))
        names.append(str(path / str(i))[1:])
    return pack(names, into, 'gzip')

def layout():
    """The layout with large, large-zstd, medium, small and the two updates; made when it is not there."""
    out = CACHE / 'layout'
    if (out / 'index.json').exists():
        return out
    into = out / 'blobs/sha256'
    into.mkdir(parents=True, exist_ok=True)
    (out / 'oci-layout').write_text('{"imageLayoutVersion": "1.0.0"}')
    large, medium = split(files(1500 * MEGA, 70000), 10), split(files(190 * MEGA, 9000, 200 * MEGA), 5)
    # A file that is larger than a part makes one part less.
    parts = {'large': large, 'large-zstd': large, 'medium': medium, 'small': [['bin/busybox']]}
    how = {name: 'zstd' if name.endswith('zstd') else 'gzip' for name in parts}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending = {name: [pool.submit(pack, part, into, how[name]) for part in of] for name, of in parts.items()}
        made = {name: [each.result() for each in each_of] for name, each_of in pending.items()}
    updates = [update_layer(into, n) for n in (1, 2)]
    manifests = [write(out, name, layers, how[name]) for name, layers in made.items()]
    manifests += [write(out, 'update-%d' % (n + 1), made['medium'] + [u], 'gzip') for n, u in enumerate(updates)]
    (out / 'index.json').write_text(json.dumps({'schemaVersion': 2, 'manifests': manifests}))
    return out

def describe(where, name):
    index = json.loads((where / 'index.json').read_text())
    digest = next(m['digest'] for m in index['manifests'] if m['annotations']['org.opencontainers.image.ref.name'] == name)
    manifest = json.loads((where / 'blobs/sha256' / digest[7:]).read_text())
    return digest, len(manifest['layers']), sum(l['size'] for l in manifest['layers'])
