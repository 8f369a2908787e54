"""TLS for the registry of image_lab.py: one server that is as it should be, and those that must not be trusted. Standard library
only. Certificates are created in DIRECTORY: {ca.crt,ca.key} signs all but the stranger's."""
import os, socket, ssl, subprocess, warnings

warnings.simplefilter('ignore', DeprecationWarning)  # TLS 1.0 is what one of them is about

def openssl(directory, *arguments):
    subprocess.run(['openssl', *arguments], cwd=directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def certificates(directory):
    os.makedirs(directory, exist_ok=True)
    key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    ours = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=CA:FALSE']
    signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key']
    openssl(directory, 'req', '-x509', *key, '-days', '2', '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=lab authority')
    for name in ('server', 'client'):
        openssl(directory, 'req', '-x509', *key, '-days', '2', '-keyout', name + '.key', '-out', name + '.cert', '-subj', '/CN=' + name, *signed, *ours)
    openssl(directory, 'req', '-x509', *key, '-days', '2', '-keyout', 'elsewhere.key', '-out', 'elsewhere.cert', '-subj', '/CN=elsewhere', *signed,
            '-addext', 'subjectAltName=DNS:other.example', '-addext', 'basicConstraints=CA:FALSE')
    openssl(directory, 'req', '-x509', *key, '-days', '2', '-keyout', 'stranger.key', '-out', 'stranger.cert', '-subj', '/CN=stranger', *ours)
    openssl(directory, 'req', '-new', *key, '-keyout', 'expired.key', '-out', 'expired.csr', '-subj', '/CN=expired', *ours[:2])
    openssl(directory, 'x509', '-req', '-in', 'expired.csr', *signed, '-days', '-1', '-copy_extensions', 'copy', '-out', 'expired.cert')

def context_of(directory, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, name + '.cert'), os.path.join(directory, name + '.key'))
    return context

def wary(base, registry):
    """A kind of server that looks at what a connection begins with: HTTP without TLS is counted as `plaintext`."""
    class Wary(base):
        context = None

        def finish_request(self, request, address):
            if request.recv(1, socket.MSG_PEEK) not in (b'\x16', b''):
                with registry.lock:
                    registry.hits['plaintext'] = registry.hits.get('plaintext', 0) + 1
                return
            with self.context.wrap_socket(request, server_side=True) as secured:
                self.RequestHandlerClass(secured, address, self)
    return Wary

def servers(directory, base, registry):
    """(name, server) of each. `third` wants a client certificate of its own authority."""
    certificates(directory)
    third = context_of(directory, 'server')
    third.load_verify_locations(os.path.join(directory, 'ca.crt'))
    third.verify_mode = ssl.CERT_REQUIRED
    old = context_of(directory, 'server')
    old.set_ciphers('ALL:@SECLEVEL=0')
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1
    contexts = {'third': third, 'old': old, **{name: context_of(directory, name) for name in ('expired', 'elsewhere', 'stranger')}}
    for name, context in contexts.items():
        server = wary(base, registry)(('127.0.0.1', 0), registry)
        server.context = context
        yield name, server
