#!/usr/bin/python3
"""OCI layout archives for the tests of import; standard library only.

  archive_lab.py BLOBS OUT KIND DIGEST...   writes an archive of these images of the laboratory, spoilt as KIND says"""
import gzip, io, json, os, sys, tarfile

def closure(blobs, digest, found):
    """The document and everything it names that is there."""
    path = os.path.join(blobs, digest[7:])
    if digest in found or not os.path.exists(path):
        return
    with open(path, 'rb') as f:
        found[digest] = f.read()
    if found[digest].startswith(b'{'):
        document = json.loads(found[digest])
        for child in document.get('manifests', []) + document.get('layers', []) + [document.get('config')]:
            if child and 'digest' in child:
                closure(blobs, child['digest'], found)

def write(archive, name, data, kind=tarfile.REGTYPE, link=''):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, link
    archive.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)

def main(blobs, out, kind, *digests):
    found = {}
    for digest in digests:
        closure(blobs, digest, found)
    layers = [digest for digest, data in found.items() if not data.startswith(b'{')]
    largest = max(layers, key=lambda digest: len(found[digest]))
    if kind == 'wrong':
        data = found[largest]
        found[largest] = data[:4] + bytes([data[4] ^ 1]) + data[5:]  # the time in gzip's header: it unpacks all the same
    if kind == 'wrong-manifest':
        found[digests[0]] += b' '
    if kind == 'short':
        found[largest] = found[largest][:-1]
    if kind == 'missing':
        del found[largest]
    entries = [{'mediaType': json.loads(found[digest]).get('mediaType', ''), 'digest': digest, 'size': len(found[digest]),
                'annotations': {'org.opencontainers.image.ref.name': 'registry.example.com/shop/image-%d:1.0' % number if kind != 'tag' else 'latest'}}
               for number, digest in enumerate(digests)]
    if kind == 'docker-save':
        entries[0]['annotations'] = {'io.containerd.image.name': 'registry.example.com/lab/app:2', 'org.opencontainers.image.ref.name': '2'}
    index = json.dumps({'schemaVersion': 2, 'manifests': entries}).encode()
    if kind == 'giant':
        index += b' ' * (5 << 20)
    if kind == 'not-json':
        index = b'<html>'
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode='w', format=tarfile.GNU_FORMAT) as archive:
        prefix = './' if kind == 'dotted' else ''
        if kind == 'escape':
            write(archive, '../../../../tmp/holdfast-import-escape', b'out')
        if kind == 'absolute':
            write(archive, '/tmp/holdfast-import-escape', b'out')
        if kind == 'device':
            write(archive, 'null', b'', tarfile.CHRTYPE)
        if kind == 'many':
            for number in range(11000):
                write(archive, 'other/%d' % number, b'')
        if kind == 'docker-save':
            write(archive, 'blobs/', b'', tarfile.DIRTYPE)
            write(archive, 'blobs/sha256/', b'', tarfile.DIRTYPE)
            write(archive, 'repositories', b'{"registry.example.com/lab/app":{"2":"0"}}')
        if kind != 'no-layout':
            write(archive, prefix + 'oci-layout', {'layout-2': b'{"imageLayoutVersion":"2.0.0"}', 'layout-no-version': b'{}', 'layout-garbage': b'<html>'}.get(
                kind, b'{"imageLayoutVersion":"1.0.0"}'))
        if kind == 'layout-twice':
            write(archive, prefix + 'oci-layout', b'{"imageLayoutVersion":"1.0.0"}')
        write(archive, prefix + 'index.json', index)
        if kind == 'index-twice':
            write(archive, prefix + 'index.json', index)
        write(archive, prefix + 'manifest.json', b'[]')
        for digest, data in found.items():
            name = prefix + 'blobs/sha256/' + digest[7:]
            if kind == 'link' and digest == largest:
                write(archive, name, b'', tarfile.SYMTYPE, '/etc/passwd')
            else:
                write(archive, name, data)
    data = raw.getvalue()
    if kind == 'cut':
        data = data[:len(data) // 2]
    if kind == 'gzip':
        data = gzip.compress(data, 1)
    with open(out, 'wb') as f:
        f.write(data)

main(*sys.argv[1:])
