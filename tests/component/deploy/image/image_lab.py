#!/usr/bin/python3
"""Images and a registry for the tests of the image store; standard library only.

  image_lab.py build DIR SHARED  links every image of `cases` into the new blob directory DIR, made once in SHARED; prints "name digest" lines
  image_lab.py random DIR BLOBS FIRST COUNT   random stacks and what umoci makes of them: see random_stack.write
  image_lab.py serve DIR         serves DIR on loopback; prints the port; ends with its standard input
  image_lab.py compare           reads lines "OURS REFERENCE [DIRECTORIES]"; fails, naming each difference, unless all are equal

The first component of a repository's name is how the registry behaves for it: see Registry.behave."""
import fcntl, gzip, hashlib, http.server, io, json, os, random, re, shutil, socket, struct, subprocess, sys, tarfile, threading, time, urllib.parse

sys.dont_write_bytecode = True
import tls_lab, tree_compare  # noqa: E402

def sha(data):
    return hashlib.sha256(data).hexdigest()

class Blobs:
    def __init__(self, root):
        self.root = root
        os.makedirs(root, exist_ok=True)

    def put(self, data, name=None):
        name = name or sha(data)
        path = os.path.join(self.root, name)
        if not os.path.exists(path):  # by its content, and perhaps a link to what others read
            with open(path, 'wb') as f:
                f.write(data)
        return name

def entry(name, kind=tarfile.REGTYPE, data=b'', mode=0o644, uid=0, gid=0, mtime=1000000000, link='', xattrs=None, dev=(0, 0)):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid, info.mtime, info.linkname = kind, mode, uid, gid, mtime, link
    info.size = len(data)
    info.devmajor, info.devminor = dev
    for key, value in (xattrs or {}).items():
        info.pax_headers['SCHILY.xattr.' + key] = value
    return info, data

def directory(name, mode=0o755, **more):
    return entry(name, tarfile.DIRTYPE, mode=mode, **more)

def symlink(name, target, **more):
    return entry(name, tarfile.SYMTYPE, link=target, mode=0o777, **more)

def hardlink(name, target, **more):
    return entry(name, tarfile.LNKTYPE, link=target, **more)

def tar(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT, encoding='utf-8', errors='surrogateescape') as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()

def empty_files(names):
    """Many of them: what `tar` needs a second for, this does in a tenth."""
    info = tarfile.TarInfo('x')
    info.mtime = 1000000000
    plain = info.tobuf(tarfile.USTAR_FORMAT)
    blank = b' ' * 8
    rest, total = plain[156:], sum(plain[:148]) + sum(blank) + sum(plain[156:]) - ord('x')
    out = []
    for name in names:
        name = name.encode()
        out.append(name + plain[len(name):148] + b'%06o\0 ' % (total + sum(name)) + rest)
    return b''.join(out) + bytes(1024)

def header(kind, name, body=b''):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)

def records(*pairs):
    out = b''
    for key, value in pairs:
        rest, size = b' %s=%s\n' % (key, value), 0
        while size != len(rest) + len(str(size)):
            size = len(rest) + len(str(size))
        out += b'%d%s' % (size, rest)
    return out

def raw_tar(*parts):
    return b''.join(parts) + bytes(1024)

def hard_link(body):
    info = tarfile.TarInfo('other')
    info.type, info.linkname, info.size = tarfile.LNKTYPE, 'name', len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)

def ambiguous_tars():
    """Archives in which two readers see different things."""
    file, evil = header(b'0', 'name', b'data'), records((b'path', b'usr/bin/evil'))
    late = records((b'mtime', b'5'))
    return {
        'two-pax': raw_tar(header(b'x', 'p', evil), header(b'x', 'p', late), file),
        'pax-and-sun': raw_tar(header(b'x', 'p', evil), header(b'X', 'p', late), file),
        'pax-long-pax': raw_tar(header(b'x', 'p', evil), header(b'L', 'l', b'other\0'), header(b'x', 'p', late), file),
        'two-long-names': raw_tar(header(b'L', 'l', b'one\0'), header(b'L', 'l', b'two\0'), file),
        'two-long-links': raw_tar(header(b'K', 'l', b'one\0'), header(b'K', 'l', b'two\0'), header(b'2', 'name')),
        'long-name-empty': raw_tar(header(b'L', 'l', b'\0more'), file),
        'long-name-without-bytes': raw_tar(header(b'L', 'l'), file),
        'long-link-empty': raw_tar(header(b'K', 'l', b'\0'), header(b'2', 'name')),
        'long-and-pax': raw_tar(header(b'L', 'l', b'one\0'), header(b'x', 'p', evil), file),
        'pax-and-long': raw_tar(header(b'x', 'p', evil), header(b'L', 'l', b'one\0'), file),
        'long-link-and-pax': raw_tar(header(b'K', 'l', b'one\0'), header(b'x', 'p', records((b'linkpath', b'two'))), header(b'2', 'name')),
        'global-between': raw_tar(header(b'x', 'p', evil), header(b'g', 'g', records((b'comment', b'c'))), file),
        'global-names': raw_tar(header(b'g', 'g', evil), file),
        'global-size': raw_tar(header(b'g', 'g', records((b'size', b'0'))), file),
        'global-attribute': raw_tar(header(b'g', 'g', records((b'SCHILY.xattr.user.a', b'v'))), file),
        'link-data': raw_tar(file, hard_link(b'data')),
        'link-nowhere': raw_tar(file, header(b'1', 'other')),
        'key-twice': raw_tar(header(b'x', 'p', records((b'path', b'a'), (b'path', b'b'))), file),
        'key-taken-back': raw_tar(header(b'x', 'p', records((b'path', b'a'), (b'path', b''))), file),
        'attribute-twice': raw_tar(header(b'x', 'p', records((b'SCHILY.xattr.user.a', b'v'), (b'SCHILY.xattr.user.a', b'w'))), file),
        'attribute-two-ways': raw_tar(header(b'x', 'p', records((b'LIBARCHIVE.xattr.user.a', b'dg=='), (b'SCHILY.xattr.user.a', b'w'))), file),
    } | {'sparse-' + name: raw_tar(header(b'x', 'p', records(*pairs)), header(kind, 'name', b'data'))
         for name, kind, pairs in half_sparse()} | odd_headers()

def odd_headers():
    """Magics of no format, and the fields of GNU's old sparse format where only some readers look for them."""
    def with_fields(kind, magic, **fields):
        block = bytearray(header(kind, 'name', b'data')[:512])
        block[257:265] = magic
        for place, value in fields.items():
            block[int(place[1:]):int(place[1:]) + len(value)] = value
        block[148:156] = b' ' * 8
        block[148:156] = b'%06o\0 ' % sum(block)
        return raw_tar(bytes(block), b'data'.ljust(512, b'\0'))
    gnu, posix, number = b'ustar  \0', b'ustar\x0000', b'00000000004\0'
    def named(magic):
        return with_fields(b'0', magic, _345=b'prefix')
    return {'number-after-zeros': with_fields(b'0', gnu, _124=b'\0\0\0\0\0\0000004'), 'magic-none': named(b'ustar\xff\xff\xff'), 'magic-version': named(b'ustar\x0001'), 'sparse-old-posix': with_fields(b'S', posix, _386=number, _398=number, _483=number),
            'sparse-old-file': with_fields(b'0', gnu, _386=number, _398=number, _483=number),
            'sparse-old-size': with_fields(b'0', gnu, _483=number),
            'sparse-old-more': with_fields(b'0', gnu, _482=b'\1')}

def half_sparse():
    """Name, kind of the entry, and records that describe half a sparse file, or two: readers choose differently."""
    size, real = (b'GNU.sparse.size', b'8'), (b'GNU.sparse.realsize', b'9')
    inside = (b'GNU.sparse.major', b'1'), (b'GNU.sparse.minor', b'0')
    mapped, listed = (b'GNU.sparse.map', b'4,4'), ((b'GNU.sparse.offset', b'4'), (b'GNU.sparse.numbytes', b'4'))
    yield from (('two-sizes', b'0', (size, real, mapped)), ('size-alone', b'0', (size,)), ('real-size-alone', b'0', (real,)),
                ('map-alone', b'0', (mapped,)), ('name-alone', b'0', ((b'GNU.sparse.name', b'usr/bin/evil'),)), ('map-and-list', b'0', (size, mapped, *listed)),
                ('count', b'0', (size, mapped, (b'GNU.sparse.numblocks', b'2'))), ('half-version', b'0', (inside[0], size, mapped)),
                ('other-version', b'0', ((b'GNU.sparse.major', b'2'), inside[1], real)), ('inside-and-size', b'0', (*inside, real, size)),
                ('star', b'0', ((b'SCHILY.realsize', b'8'),)), ('directory', b'5', (size, mapped)), ('old-and-new', b'S', (size, mapped)),
                ('list-without-length', b'0', (size, *listed, listed[0])), ('length-twice', b'0', (size, *listed, listed[1])))

def sparse(name, size):
    """A file with `data` in its middle and nothing else, in PAX sparse format 0.1."""
    return header(b'x', 'p', records((b'GNU.sparse.size', b'%d' % size), (b'GNU.sparse.map', b'%d,4' % (size // 2)))) + header(b'0', name, b'data')

def dotted(name, runs):
    """As many runs of one byte, each in a block of its own."""
    step = 16 << 10
    places = b','.join(b'%d,1' % (i * step) for i in range(runs))
    return header(b'x', 'p', records((b'GNU.sparse.size', b'%d' % (runs * step)), (b'GNU.sparse.map', places))) + header(b'0', name, b'x' * runs)

def deep_links():
    """Directories in directories, each level reached through symlinks: no name is long, the tree is 900 deep."""
    parts, here = [], 's0'
    parts.append(directory('d'))
    parts.append(symlink('s0', 'd'))
    for i in range(1, 10):
        parts.append(directory(here + '/' + '/'.join(['d'] * 100)))
        parts.append(symlink('s%d' % i, here + '/' + '/'.join(['d'] * 100)))
        here = 's%d' % i
    return tar(*parts)

def honest_tars():
    """The same means as real tools use them."""
    file = header(b'0', 'name', b'data')
    return {
        'git-archive': raw_tar(header(b'g', 'pax_global_header', records((b'comment', b'0' * 40))), header(b'x', 'p', records((b'mtime', b'5'))), file),
        'bsdtar': raw_tar(header(b'x', 'p', records((b'LIBARCHIVE.xattr.user.a', b'dg'), (b'SCHILY.xattr.user.a', b'v'))), file),
        'gnu-long': raw_tar(header(b'K', 'l', b'target\0'), header(b'L', 'l', b'name\0'), header(b'2', 'name')),
        'sparse-list': raw_tar(header(b'x', 'p', records((b'GNU.sparse.size', b'12'), (b'GNU.sparse.numblocks', b'1'), (b'GNU.sparse.offset', b'8'), (b'GNU.sparse.numbytes', b'4'))), file),
        'sparse-map': raw_tar(sparse('name', 12)),
        'sparse-inside': raw_tar(header(b'x', 'p', records((b'GNU.sparse.major', b'1'), (b'GNU.sparse.minor', b'0'), (b'GNU.sparse.name', b'name'), (b'GNU.sparse.realsize', b'12'))),
                                 header(b'0', 'GNUSparseFile.1/name', b'1\n8\n4\n'.ljust(512, b'\0') + b'data')),
        'same-twice': raw_tar(header(b'L', 'l', b'name\0'), header(b'x', 'p', records((b'path', b'name'), (b'path', b'name'))), file),
    }

GZIP, ZSTD, PLAIN = 'gzip', 'zstd', ''

def pack(data, how):
    if how == GZIP:
        return gzip.compress(data, 6, mtime=0)
    if how == ZSTD:
        return subprocess.run(['zstd', '-q', '-c', '-3'], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data

def image(blobs, layers, how=GZIP, diff_ids=None, packed=None, tweak=None, arch='amd64', sizes=None):
    """layers: tar bytes; packed: their compressed forms when they are to differ. Returns the digest of the manifest."""
    packed = packed or [pack(data, how) for data in layers]
    diff_ids = diff_ids or ['sha256:' + sha(data) for data in layers]
    config = json.dumps({'architecture': arch, 'os': 'linux', 'config': {'Env': ['A=1'], 'Cmd': ['/bin/true']},
                         'rootfs': {'type': 'layers', 'diff_ids': diff_ids}}).encode()
    media = 'application/vnd.oci.image.layer.v1.tar' + ('+' + how if how else '')
    manifest = {'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
                'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', 'digest': 'sha256:' + blobs.put(config), 'size': len(config)},
                'layers': [{'mediaType': media, 'digest': 'sha256:' + blobs.put(data), 'size': (sizes or {}).get(i, len(data))}
                           for i, data in enumerate(packed)]}
    if tweak:
        tweak(manifest)
    return 'sha256:' + blobs.put(json.dumps(manifest).encode())

def index(blobs, manifests):
    return 'sha256:' + blobs.put(json.dumps({
        'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.index.v1+json',
        'manifests': [{'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': d,
                       'size': os.path.getsize(os.path.join(blobs.root, d[7:])), 'platform': p} for d, p in manifests]}).encode())

def base_layer():
    rng = random.Random(7)
    return tar(directory('./'), directory('etc'), entry('etc/passwd', data=b'root:x:0:0::/:/bin/sh\n'),
               directory('usr'), directory('usr/lib', mode=0o2775, uid=5, gid=6, mtime=1234567890.25),
               entry('usr/lib/a', data=rng.randbytes(300000), mode=0o4755, uid=1, gid=2), symlink('lib', 'usr/lib'),
               hardlink('usr/lib/b', 'usr/lib/a'), directory('tmp', mode=0o1777), directory('gone'), entry('gone/x', data=b'x'),
               directory('covered'), entry('covered/old', data=b'old'),
               entry('cap', data=b'cap', mode=0o755, xattrs={'user.note': 'kept', 'security.selinux': 'dropped'}))

def top_layers():
    second = tar(entry('usr/lib/c', data=b'c'), entry('.wh.gone'), entry('covered/.wh..wh..opq'), entry('covered/new', data=b'new'),
                 entry('lib/through', data=b'through the symlink'))
    third = tar(directory('etc', mode=0o750), entry('etc/passwd', data=b'changed\n', mtime=1500000000))
    return [second, third]

def cases(blobs):
    good = [base_layer()] + top_layers()
    yield 'gzip', image(blobs, good)
    yield 'zstd', image(blobs, good, ZSTD)
    yield 'plain', image(blobs, good, PLAIN)
    yield 'index', index(blobs, [(image(blobs, [tar(entry('other'))], arch='s390x'),
                                  {'os': 'linux', 'architecture': 's390x'}),
                                 (image(blobs, good), {'os': 'linux', 'architecture': 'amd64'})])
    yield 'foreign', index(blobs, [(image(blobs, good, arch='s390x'), {'os': 'linux', 'architecture': 's390x'})])
    yield 'members', image(blobs, good[:1], packed=[gzip.compress(good[0][:70000]) + gzip.compress(good[0][70000:]) + b'\0' * 100])
    yield 'twice', image(blobs, [good[0], good[1], good[0]])
    yield 'empty', image(blobs, [good[0], tar(), tar()])
    yield 'diff-id', image(blobs, good, diff_ids=['sha256:' + sha(b'no') for _ in good])
    yield 'size', image(blobs, good, sizes={1: 99})
    yield 'not-gzip', image(blobs, [good[0]], packed=[good[0]])
    yield 'cut-gzip', image(blobs, [good[0]], packed=[gzip.compress(good[0])[:-3000]])
    yield 'trailing', image(blobs, [good[0]], packed=[gzip.compress(good[0]) + b'and more'])
    yield 'cut-tar', image(blobs, [good[0][:100000]])
    hostile = {
        'root-symlink': tar(symlink('/.', '/etc')),
        'dot-dot': tar(entry('../../x')), 'dot-dot-2': tar(entry('a/../../x')), 'dot-dot-3': tar(entry('./..//x')),
        'absolute-up': tar(entry('/../x')),
        'link-up': tar(hardlink('x', '../../etc/shadow')), 'link-out': tar(hardlink('x', '/etc/shadow')),
        'whiteout-nothing': tar(entry('.wh.')), 'whiteout-dot': tar(entry('.wh..')), 'whiteout-dots': tar(entry('.wh...')),
        'whiteout-inner': tar(entry('a/.wh...')),
        'device-zero': tar(entry('x', tarfile.CHRTYPE, dev=(0, 0))),
        'loop': tar(symlink('a', 'b'), symlink('b', 'a'), entry('a/x')),
        'long-name': tar(entry('x' * 300)), 'long-path': tar(entry('/'.join(['d' * 200] * 30))), 'deep': tar(entry('/'.join(['d'] * 300))),
        'big-xattr': tar(entry('x', xattrs={'user.big': 'v' * 100000})), 'long-xattr': tar(entry('x', xattrs={'user.' + 'n' * 300: 'v'})),
        'directory-link': tar(directory('d'), hardlink('x', 'd')),
    }
    hostile.update(('tar-' + name, data) for name, data in ambiguous_tars().items())
    hostile.update({'below-whiteout': tar(entry('a/.wh.b/c')), 'below-opaque': tar(entry('.wh..wh..opq/c'))})
    for name, data in hostile.items():
        yield 'bad-' + name, image(blobs, [data])
    yield 'through-symlink', image(blobs, [tar(symlink('a', '/tmp/holdfast-escape'), entry('a/f', data=b'inside'))])
    yield 'through-host', image(blobs, [tar(symlink('d', '/'), entry('d/.wh.etc'), entry('d/inner', data=b'inner'))])
    for name, data in honest_tars().items():
        yield 'tar-' + name, image(blobs, [data])
    yield 'root-opaque', image(blobs, [tar(directory('./', mode=0o711), entry('old', data=b'o'), directory('d', mode=0o1777), entry('d/x')),
                                       tar(entry('.wh.old'), entry('d/.wh.x'), entry('later')),
                                       tar(entry('.wh..wh..opq'), entry('new', data=b'n'), entry('d/y'))])
    yield 'left-over', image(blobs, [tar(directory('.wh..wh.plnk'), entry('.wh..wh.plnk/1.2', data=b'x'), entry('a/.wh..wh.orph/f/g'),
                                         entry('.wh..wh.aufs'), entry('b', data=b'b'))])
    yield 'implicit', image(blobs, [tar(directory('tmp', mode=0o1777, uid=3, gid=4), directory('usr'), directory('usr/lib', mode=0o2775), symlink('lib', 'usr/lib')),
                                    tar(entry('tmp/x')), tar(entry('lib/y'), entry('tmp/z'))])
    yield 'hostile-chmod', image(blobs, [tar(symlink('s', '/etc/passwd'), hardlink('h', 's', mode=0o4777))])
    yield 'overlay-xattrs', image(blobs, [tar(directory('a'), entry('a/secret', data=b's'), directory('b', xattrs={
        'trusted.overlay.redirect': '/a', 'trusted.overlay.opaque': 'y', 'trusted.overlay.metacopy': ''}), entry('b/own', data=b'o'))])
    for name, seed in (('big', 1), ('big-2', 2)):
        yield name, image(blobs, [tar(entry('data', data=random.Random(seed).randbytes(4 << 20)))])
    zeros = [tar(entry('zeros-%d' % n, data=bytes(40 << 20))) for n in range(3)]
    yield 'zeros', image(blobs, zeros)
    yield 'copy-ups', image(blobs, zeros[:1] + [tar(hardlink('again-%d' % n, 'zeros-0')) for n in range(4)])
    yield 'dotted', image(blobs, [raw_tar(*(dotted('%d-%d' % (n, i), 2000) for i in range(6))) for n in range(3)])
    yield 'grows', image(blobs, [tar(entry('zeros', data=bytes(32 << 20)))])
    for how in (GZIP, ZSTD):
        yield 'bomb-' + how, image(blobs, [tar()], how, packed=[bomb(how)], diff_ids=['sha256:' + sha(b'bomb')])
    wide = subprocess.run(['zstd', '-q', '-c', '--ultra', '--long=31'], input=good[0], stdout=subprocess.PIPE, check=True).stdout
    yield 'wide-window', image(blobs, good[:1], ZSTD, packed=[wide])
    yield 'entry-bomb', image(blobs, [tar()], packed=[entry_bomb()], diff_ids=['sha256:' + sha(b'bomb')])
    yield 'small-entries', image(blobs, [tar()], packed=[gzip.compress(tar(*(entry('%d' % i) for i in range(40000))), 9)], diff_ids=['sha256:' + sha(b'bomb')])
    # 16,000 files of some 8 compressed bytes each are within the bound of one layer, not of each of three
    wide = [empty_files('%d/%d' % (n, i) for i in range(16000)) for n in range(3)]
    yield 'three-wide', image(blobs, wide)
    yield 'one-wide', image(blobs, wide[:1])
    seed = random.Random(8)
    yield 'crowd', image(blobs, [empty_files('%d/%s' % (n, seed.randbytes(30).hex()) for _ in range(3000)) for n in range(8)])
    for name, holes in (('hole', [9 << 30]), ('holes', [6 << 30, 6 << 30])):
        yield name, image(blobs, [raw_tar(*(sparse('f%d' % i, size) for i, size in enumerate(holes)))])
    yield 'hole-linked', image(blobs, [raw_tar(sparse('f0', 9 << 30)), tar(hardlink('again', 'f0'))])
    yield 'deep-links', image(blobs, [deep_links()])
    yield 'many', image(blobs, [tar(directory('d'), *(entry('d/%d' % i, data=b'%d' % i) for i in range(4000)))])
    yield 'tools', image(blobs, [tools()])
    whole = tar(directory('a'), *(entry('a/%d' % i, data=random.Random(i).randbytes(700)) for i in range(20)))
    for i in range(12):  # the compressed stream ends early; the archive in a whole stream does
        yield 'cut-%d' % i, image(blobs, [whole], packed=[gzip.compress(whole)[:5 + i * 1000]])
        yield 'cut-%d' % (i + 12), image(blobs, [whole[:700 + i * 1500]])
    yield 'two-faced', image(blobs, good[:1], tweak=lambda m: m.update(manifests=[]))

def tools():
    """What a careless unpacker would load or run: name service modules and decompressors, in the places where a host has them."""
    module = b'\x7fELF' + bytes(4000)
    owned = []
    for name in ('etc/nsswitch.conf', *('%s/libnss_%s.so.2' % (d, n) for d in ('lib', 'lib64', 'usr/lib', 'usr/lib/x86_64-linux-gnu') for n in ('files', 'hostile')),
                 *('%s/%s' % (d, n) for d in ('bin', 'usr/bin', 'usr/local/bin') for n in ('xz', 'gzip', 'unpigz', 'zstd', 'igzip'))):
        info, data = entry(name, data=b'passwd: hostile\n' if 'etc' in name else module, mode=0o755)
        info.uname = info.gname = 'hostile'
        owned.append((info, data))
    return tar(*owned)

def bomb(how):
    """12 GiB of one file of zeros: gzip members, or zstd frames, of 64 MiB, repeated."""
    info = tarfile.TarInfo('zeros')
    info.size = 12 << 30
    return pack(info.tobuf(tarfile.GNU_FORMAT), how) + pack(b'\0' * (64 << 20), how) * 192

def entry_bomb():
    """1,100,000 entries: the root again and again, so that it costs the disk nothing."""
    info = tarfile.TarInfo('./')
    info.type = tarfile.DIRTYPE
    part = info.tobuf(tarfile.GNU_FORMAT) * 11000
    return gzip.compress(part, 9) * 100

class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    root, hits, other, stranger, home = None, {}, None, None, None
    uses, go_on, seen, more = [], threading.Event(), set(), []
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def send(self, status, body=b'', headers=(), length=True):
        self.send_response(status)
        for key, value in [*headers, *self.more]:
            self.send_header(key, value)
        if length:
            self.send_header('Content-Length', str(len(body)))
        else:
            self.send_header('Connection', 'close')
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.close_connection = True
        self.connection.close()

    def do_GET(self):
        if self.path == '/hits':
            return self.send(200, json.dumps(self.hits).encode())
        if self.path == '/go-on':
            self.go_on.set()
            return self.send(200)
        if self.path.startswith('/token'):
            return self.token()
        self.more = []
        match = re.fullmatch(r'/v2/(.+)/(manifests|blobs)/sha256:([0-9a-f]{64})(\?.*)?', self.path)
        if not match:
            with self.lock:
                self.hits['other'] = self.hits.get('other', 0) + 1
            return self.send(404)
        repository, kind, digest, _ = match.groups()
        with self.lock:
            key = repository + '/' + kind
            self.hits[key] = self.hits.get(key, 0) + 1
            count = self.hits[key]
            again = key + digest in self.seen
            self.seen.add(key + digest)
            if self.headers.get('Authorization') and self.server.server_address[0] == '127.0.0.2':
                self.hits['second-knows'] = self.hits.get('second-knows', 0) + 1
            if self.headers.get('Authorization') and repository.startswith('redirected'):
                self.hits['leaked'] = self.hits.get('leaked', 0) + 1
        path = os.path.join(self.root, digest)
        if not os.path.exists(path):
            return self.send(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}')
        with open(path, 'rb') as f:
            body = f.read()
        self.behave(repository, kind, digest, body, count, again)

    def token(self):
        how = re.search(r'scope=repository%3Atoken-(\w+)', self.path)
        if how:  # the token server is broken in the way the repository says
            return self.send(*{'500': (500, b'broken'), 'text': (200, b'not json'), 'huge': (200, b'{"token":"' + b'x' * (2 << 20) + b'"}'),
                               'empty': (200, b'{"token":""}'), 'evil': (200, b'{"token":"a\\r\\nHost: evil"}')}[how[1]])
        if 'scope=repository%3Aposted' in self.path:  # it knows the newer way only
            return self.send(405)
        if 'scope=repository%3Amoved' in self.path and '/token2' not in self.path:
            away = self.other if 'moved-away' in self.path else 'http://' + self.headers['Host']
            return self.send(307, b'', [('Location', away + self.path.replace('/token', '/token2'))])
        if 'scope=repository%3Ajoined' in self.path:  # anybody gets one, who shows no login
            return self.send(401) if self.headers.get('Authorization') else self.give_token()
        if self.headers.get('Authorization') != 'Basic dXNlcjpwYXNz':
            return self.send(401)
        self.give_token()

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers['Content-Length'])).decode())
        wanted = {'grant_type': ['password'], 'username': ['user'], 'password': ['pass'], 'service': ['lab']}
        if self.path != '/token' or any(form.get(key) != value for key, value in wanted.items()):
            return self.send(401)
        self.give_token()

    def give_token(self):
        self.send(200, json.dumps({'token': 'good-%d' % time.time_ns(), 'expires_in': 60}).encode())

    def plain(self, kind, body):
        start = 0
        wanted = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range') or '')
        if wanted and kind == 'blobs':
            start = int(wanted[1])
            return self.send(206, body[start:], [('Content-Range', 'bytes %d-%d/%d' % (start, len(body) - 1, len(body)))])
        self.send(200, body, [('Content-Type', self.media(body) if kind == 'manifests' else 'application/octet-stream')])

    @staticmethod
    def media(body):
        return json.loads(body).get('mediaType', '')

    def cut(self, body, at):
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[:at])
        self.wfile.flush()

    def behave(self, repository, kind, digest, body, count, again):
        """Which behaviour applies to blobs only is said by `large`: configs stay as they are. `again`: it was asked for before."""
        how = repository.split('/')[0]
        large = kind == 'blobs' and not body.startswith(b'{')
        lies = how == 'mirror-lies' and self.server.server_address[0] == '127.0.0.2'
        if (how == 'wrong' or lies) and large:
            return self.plain(kind, bytes([body[0]]) + body[1:-20] + bytes(b ^ 1 for b in body[-20:]))
        if how == 'wrong-manifest' and kind == 'manifests':
            return self.plain(kind, body + b' ')
        if how == 'second-bad' and large and again:  # right bytes once, then wrong ones
            return self.plain(kind, body[:-20] + bytes(b ^ 1 for b in body[-20:]))
        if how == 'swaps' and kind == 'manifests' and again:  # what a name means changes while it is pulled
            return self.plain(kind, json.dumps({**json.loads(body), 'annotations': {'swapped': 'yes'}}).encode())
        if how == 'links':  # a next page elsewhere
            self.more = [('Link', '<%s/v2/redirected/manifests/sha256:%s>; rel="next"' % (self.other, digest))]
        if how == 'missing' and large:
            return self.send(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}')
        if how == 'forbidden':
            return self.send(403, b'denied \x1b[31m')
        pieces = {'truncated': 3, 'crumbs': 9}.get(how)
        if pieces and large:  # each connection brings one more of them; crumbs get through whole, as the connection is closed and not reset
            have = int((self.headers.get('Range') or 'bytes=0-')[6:-1])
            part, piece = body[have:], max(len(body) // pieces, 1)
            self.send_response(206 if have else 200)
            if have:
                self.send_header('Content-Range', 'bytes %d-%d/%d' % (have, len(body) - 1, len(body)))
            self.send_header('Content-Length', str(len(part)))
            self.end_headers()
            self.wfile.write(part[:piece])
            self.wfile.flush()
            if len(part) <= piece:
                return None
            self.close_connection = True
            return self.reset() if how == 'truncated' else None
        if how == 'open-end' and large and count == 1:  # no length, and the connection closes early
            self.send_response(200)
            self.send_header('Connection', 'close')
            self.close_connection = True
            self.end_headers()
            return self.wfile.write(body[:len(body) // 2])
        if how == 'resets' and large:  # ten connections, each reset after a little more
            start = int((self.headers.get('Range') or 'bytes=0-')[6:-1])
            if count <= 10:
                self.send_response(206 if start else 200)
                if start:
                    self.send_header('Content-Range', 'bytes %d-%d/%d' % (start, len(body) - 1, len(body)))
                self.send_header('Content-Length', str(len(body) - start))
                self.end_headers()
                self.wfile.write(body[start:start + len(body) // 20])
                self.wfile.flush()
                time.sleep(0.02)
                return self.reset()
        if how == 'no-range' and large:
            if count % 2:
                self.cut(body, len(body) // 2)
                return self.reset()
            return self.send(200, body)
        if how == 'false-range' and large:
            if count == 1:
                self.cut(body, len(body) // 2)
                return self.reset()
            if self.headers.get('Range'):
                return self.send(206, body, [('Content-Range', 'bytes 0-%d/%d' % (len(body) - 1, len(body)))])
            return self.send(200, body)
        if how == 'endless' and large:
            self.send(200, body, length=False)
            try:
                for _ in range(100000):
                    self.wfile.write(b'\0' * 65536)
            except OSError:
                pass
            return None
        if how == 'endless-manifest' and kind == 'manifests':
            return self.send(200, body + b' ' * (5 << 20))
        if how == 'slow-headers' and kind == 'manifests':  # a byte a second, and never done
            with self.lock:
                self.hits['slow-headers-again'] = self.hits.get('slow-headers-again', -1) + 1
            try:
                for byte in b'HTTP/1.1 200 OK\r\nX-Slow: ' + b'x' * 600:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(1)
            except OSError:
                pass
            self.close_connection = True
            return None
        if how == 'slow-body' and large and count <= 2:  # a hundred bytes a second; the second connection is better
            try:
                self.cut(body, 1 << 20)
                for at in range(1 << 20, len(body), 100):
                    self.wfile.write(body[at:at + 100])
                    self.wfile.flush()
                    time.sleep(1)
            except OSError:
                pass
            self.close_connection = True
            return None
        if how == 'flaky' and count <= 3:
            return self.send(500, b'busy')
        if how == 'limited' and count == 1:
            return self.send(429, b'', [('Retry-After', '1')])
        if how == 'down' and large:
            return self.send(500, b'broken')
        if how == 'encoded' and large:
            return self.send(200, body, [('Content-Encoding', 'gzip')])
        if how == 'redirect' and large:
            return self.send(307, b'', [('Location', self.other + '/v2/redirected/blobs/sha256:' + digest)])
        if how == 'redirect-registry':  # to another registry, which has rules of its own
            return self.send(307, b'', [('Location', '%s/v2/joined/%s/sha256:%s' % (self.other, kind, digest))])
        if how == 'joined' and not (self.headers.get('Authorization') or '').startswith('Bearer good'):
            return self.send(401, b'', [('WWW-Authenticate', 'Bearer realm="http://%s/token",service="lab",scope="repository:joined:pull"' % self.headers['Host'])])
        if how == 'redirect-loop' and large:
            return self.send(307, b'', [('Location', self.path)])
        if how == 'redirect-file' and large:
            return self.send(307, b'', [('Location', 'file:///etc/passwd')])
        if how == 'redirect-inside' and large:
            return self.send(307, b'', [('Location', 'http://169.254.169.254/latest')])
        if how in ('login', 'redirect-login', 'foreign-token', 'foreign-plain', 'posted', 'moved', 'moved-away') or how.startswith('token-'):
            if not (self.headers.get('Authorization') or '').startswith('Bearer good'):
                elsewhere = {'token-stranger': self.stranger, 'foreign-token': self.stranger, 'foreign-plain': self.home}
                realm = '%s/token' % elsewhere.get(how, 'http://' + self.headers['Host'])
                return self.send(401, b'', [('WWW-Authenticate', 'Bearer realm="%s",service="lab",scope="repository:%s:pull"' % (realm, repository))])
            if how == 'redirect-login' and large:
                return self.send(307, b'', [('Location', self.other + '/v2/redirected/blobs/sha256:' + digest)])
        if how == 'login-ends':  # the first token is good for three requests, then refused
            token = (self.headers.get('Authorization') or '')
            with self.lock:
                self.uses.append(token)
                ended = token == next((t for t in self.uses if t), None) and self.uses.count(token) > 3
                self.hits['ended'] = self.hits.get('ended', 0) + ended
            if ended or not token.startswith('Bearer good'):
                realm = 'http://%s/token' % self.headers['Host']
                return self.send(401, b'', [('WWW-Authenticate', 'Bearer realm="%s",service="lab",scope="repository:%s:pull"' % (realm, repository))])
        if how == 'limited-badly' and count == 1:
            return self.send(429, b'', [('Retry-After', 'soon, perhaps')])
        if how == 'limited-date' and count == 1:
            return self.send(429, b'', [('Retry-After', self.date_time_string(time.time() + 2))])
        if how == 'limited-long' and large:
            return self.send(429, b'', [('Retry-After', '4000')])
        if how == 'stalls' and large and not self.go_on.is_set():  # sends some, then nothing, until /go-on
            start = int((self.headers.get('Range') or 'bytes=0-')[6:-1])
            self.hits['from'] = start
            self.send_response(206 if start else 200)
            self.send_header('Content-Length', str(len(body) - start))
            if start:
                self.send_header('Content-Range', 'bytes %d-%d/%d' % (start, len(body) - 1, len(body)))
            self.end_headers()
            self.wfile.write(body[start:start + (len(body) - start) // 2])
            self.wfile.flush()
            self.go_on.wait(60)
            return self.reset()
        if how == 'stalls' and large:
            self.hits['from'] = int((self.headers.get('Range') or 'bytes=0-')[6:-1])
        if how == 'basic' and self.headers.get('Authorization') != 'Basic dXNlcjpwYXNz':
            return self.send(401, b'', [('WWW-Authenticate', 'Basic realm="lab"')])
        if how == 'evil-realm':
            return self.send(401, b'', [('WWW-Authenticate', 'Bearer realm="http://169.254.169.254/token",service="x"')])
        if how == 'slow' and large:
            self.send_response(200)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            try:
                for i in range(0, len(body), max(len(body) // 20, 1)):
                    self.wfile.write(body[i:i + max(len(body) // 20, 1)])
                    self.wfile.flush()
                    time.sleep(0.2)
            except OSError:
                pass
            return None
        return self.plain(kind, body)

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass

def serve(root):
    Registry.root = root
    first, second = Server(('127.0.0.1', 0), Registry), Server(('127.0.0.2', 0), Registry)
    Registry.home = 'http://127.0.0.1:%d' % first.server_address[1]
    Registry.other = 'http://127.0.0.2:%d' % second.server_address[1]
    others = {'first': first, 'second': second, **dict(tls_lab.servers(os.path.join(root, '..', 'tls'), Server, Registry))}
    Registry.stranger = 'https://127.0.0.1:%d' % others['stranger'].server_address[1]
    for server in others.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(*('%s %d' % (name, server.server_address[1]) for name, server in others.items()), flush=True)
    sys.stdin.read()

def build(root, shared):
    """The images into `root`, by links to what the first who asked has made in `shared`: each test program needs them."""
    os.makedirs(shared, exist_ok=True)
    with open(__file__, 'rb') as source, open(os.path.join(shared, 'lock'), 'w') as lock:
        made = os.path.join(shared, sha(source.read()))
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(made):
            for former in os.listdir(shared):
                shutil.rmtree(os.path.join(shared, former), ignore_errors=True)
            blobs = Blobs(made + '.new')
            blobs.put(''.join('%s %s\n' % case for case in cases(blobs)).encode(), 'cases')
            os.rename(made + '.new', made)
    shutil.copytree(made, root, copy_function=link)
    with open(os.path.join(root, 'cases')) as lines:
        print(lines.read())

def link(source, target):
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)

if __name__ == '__main__':
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == 'build':
        build(*arguments)
    elif command == 'serve':
        serve(arguments[0])
    elif command == 'compare':
        sys.exit(tree_compare.compare_all(sys.stdin))
    elif command == 'random':
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        import random_stack
        random_stack.write(arguments[0], arguments[1], int(arguments[2]), int(arguments[3]))
