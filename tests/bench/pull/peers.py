"""Who pulls: each class starts fresh on an empty directory, pulls, and ends. All processes are started and ended by pid."""
import os, shutil, signal, subprocess, time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
PEERS = Path(os.environ.get('HOLDFAST_PEERS', '/'))
PATH = ':'.join(str(PEERS / p) for p in ('usr/bin', 'usr/sbin')) + ':/usr/sbin:/usr/bin:/sbin:/bin'
ENVIRONMENT = {'PATH': PATH, 'HOME': '/root', 'LC_ALL': 'C.UTF-8'}
if PEERS != Path('/'):  # podman's libsubid, for one
    ENVIRONMENT['LD_LIBRARY_PATH'] = str(PEERS / 'usr/lib/x86_64-linux-gnu')

def found(program):
    return shutil.which(program, path=PATH)

def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

class Puller:
    """`root` is the file system that is measured; sockets and pid files go to `run`."""
    daemon = None

    def __init__(self, root, run, registry):
        self.root, self.run, self.registry = Path(root), Path(run), registry

    def start(self):
        pass

    def stop(self):
        if self.daemon:
            stop(self.daemon)

    def pull(self, name, digest):
        """Seconds of the command, and what it printed."""
        begin = time.monotonic()
        done = subprocess.run(self.command(name, digest), capture_output=True, text=True, env=ENVIRONMENT)
        seconds = time.monotonic() - begin
        if done.returncode:
            raise RuntimeError('%s: %s %s' % (type(self).__name__, done.stdout[-500:], done.stderr[-500:]))
        return seconds, done.stdout

    def spawn(self, argv, ready):
        self.daemon = subprocess.Popen(argv, env=ENVIRONMENT, stdout=open(self.run / 'log', 'w'), stderr=subprocess.STDOUT, start_new_session=True)
        for _ in range(600):
            if subprocess.run(ready, env=ENVIRONMENT, capture_output=True).returncode == 0:
                return
            if self.daemon.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit('%s did not start: %s' % (argv[0], (self.run / 'log').read_text()[-2000:]))

class Holdfast(Puller):
    def command(self, name, digest):
        return [str(SOURCE / 'build/bench/pull_once'), str(SOURCE / 'build/bin/holdfast-worker'), str(self.root / 'state'),
                '%s/bench/%s@%s' % (self.registry, name, digest), self.registry]

class Limit(Puller):
    probe = None

    def command(self, name, digest):
        host, port = self.registry.split(':')
        return [self.probe, host, port, 'bench/' + name, digest, str(self.root / 'layers')]

class Docker(Puller):
    def start(self):
        if not found('dockerd'):
            raise LookupError('dockerd')
        self.socket = 'unix://%s/docker.sock' % self.run
        (self.run / 'none.json').write_text('{}')
        self.spawn(['dockerd', '--data-root', str(self.root / 'docker'), '--exec-root', str(self.run / 'exec'), '--pidfile', str(self.run / 'pid'),
                    '-H', self.socket, '--storage-driver', 'overlay2', '--iptables=false', '--ip-masq=false', '--bridge=none', '--config-file',
                    str(self.run / 'none.json')], ['docker', '-H', self.socket, 'version'])

    def command(self, name, digest):
        return [str(found('docker')), '-H', self.socket, 'pull', '-q', '%s/bench/%s@%s' % (self.registry, name, digest)]

class Containerd(Puller):
    def start(self):
        if not found('containerd'):
            raise LookupError('containerd')
        self.socket = str(self.run / 'containerd.sock')
        (self.run / 'config.toml').write_text('version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                                              '[grpc]\naddress = "%s"\n' % (self.root / 'containerd', self.run / 'state', self.socket))
        self.spawn(['containerd', '-c', str(self.run / 'config.toml')], ['ctr', '-a', self.socket, 'version'])

    def command(self, name, digest):
        return [str(found('ctr')), '-a', self.socket, 'images', 'pull', '--plain-http', '%s/bench/%s@%s' % (self.registry, name, digest)]

class Podman(Puller):
    def start(self):
        if not found('podman'):
            raise LookupError('podman')

    def command(self, name, digest):
        return [str(found('podman')), '--root', str(self.root / 'storage'), '--runroot', str(self.run / 'run'), '--storage-driver', 'overlay',
                '--tmpdir', str(self.run / 'tmp'), 'pull', '-q', '--tls-verify=false', '%s/bench/%s@%s' % (self.registry, name, digest)]

ALL = {'holdfast': Holdfast, 'limit': Limit, 'docker': Docker, 'containerd': Containerd, 'podman': Podman}
