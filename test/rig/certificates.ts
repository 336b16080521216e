import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import forge from 'node-forge'

interface Pair {
  readonly cert: forge.pki.Certificate
  readonly key: forge.pki.rsa.PrivateKey
}

/** Paths of a private authority, what it signed, and what is no part of it. */
export interface Certificates {
  readonly ca: string
  /** For localhost, 127.0.0.1 and the host that was named. */
  readonly server: { readonly cert: string; readonly key: string }
  /** For redis.internal alone. */
  readonly named: { readonly cert: string; readonly key: string }
  readonly client: { readonly cert: string; readonly key: string }
  /** An authority that signed nothing here. */
  readonly otherCa: string
}

/** Makes a private authority and certificates of it in `folder`; that of the server is for `host` as well. */
export function makeCertificates(folder: string, host = '127.0.0.1'): Certificates {
  const authority = issue('Test CA')
  const write = (name: string, { cert, key }: Pair) => {
    const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) }
    writeFileSync(files.cert, forge.pki.certificateToPem(cert))
    writeFileSync(files.key, forge.pki.privateKeyToPem(key), { mode: 0o600 })
    return files
  }
  return {
    ca: write('ca', authority).cert,
    server: write(
      'server',
      issue('server', { by: authority, hosts: [...new Set(['localhost', '127.0.0.1', host])] }),
    ),
    named: write('named', issue('named', { by: authority, hosts: ['redis.internal'] })),
    client: write('client', issue('client', { by: authority })),
    otherCa: write('other-ca', issue('Other CA')).cert,
  }
}

let serial = 0

/** A certificate that `by` signed; without it an authority that signed itself. */
function issue(name: string, { by, hosts = [] }: { by?: Pair; hosts?: readonly string[] } = {}): Pair {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = forge.pki.privateKeyFromPem(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  const cert = forge.pki.createCertificate()
  serial += 1
  cert.serialNumber = `0${serial}`
  cert.publicKey = forge.pki.setRsaPublicKey(key.n, key.e)
  cert.validity.notBefore = new Date(Date.now() - 3_600_000)
  cert.validity.notAfter = new Date(Date.now() + 24 * 3_600_000)
  const subject = [{ name: 'commonName', value: name }]
  cert.setSubject(subject)
  cert.setIssuer(by ? by.cert.subject.attributes : subject)
  cert.setExtensions([
    { name: 'basicConstraints', cA: by === undefined, critical: true },
    ...(hosts.length === 0 ? [] : [{ name: 'subjectAltName', altNames: hosts.map(altName) }]),
  ])
  cert.sign(by?.key ?? key, forge.md.sha256.create())
  return { cert, key }
}

const DNS = 2
const IP = 7

function altName(host: string): object {
  return /^[\d.]+$/.test(host) ? { type: IP, ip: host } : { type: DNS, value: host }
}
