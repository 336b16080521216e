import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { messageOf, WorkerError } from '../domain/errors.ts'

/** The files of a TLS connection, as absolute paths. */
export interface TlsFiles {
  /** The authorities that are trusted, instead of the system's. */
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  /** The name that the server's certificate must have, when it is not the host. */
  readonly serverName: string | undefined
}

/** Their texts, as `tls.connect` wants them. */
export interface TlsTexts {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
}

/**
 * Reads the files. Throws `config` for one that cannot be read or holds something else, for a certificate without key (or the
 * other way round), and for a key that belongs to another certificate.
 */
export function readTlsFiles({ ca, cert, key, serverName }: TlsFiles): TlsTexts {
  const texts: TlsTexts = {
    ...(ca === undefined ? {} : { ca: readPem('redis.tls_ca_cert', ca) }),
    ...(cert === undefined ? {} : { cert: readPem('redis.tls_cert', cert) }),
    ...(key === undefined ? {} : { key: readPem('redis.tls_key', key) }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  }
  if (texts.ca !== undefined) readCertificate('redis.tls_ca_cert', ca, texts.ca)
  if ((texts.cert === undefined) !== (texts.key === undefined)) {
    const [given, missing] =
      texts.key === undefined ? ['redis.tls_cert', 'redis.tls_key'] : ['redis.tls_key', 'redis.tls_cert']
    throw new WorkerError('config', `Expected ${missing} beside ${given}, got none`, {
      remedy: 'A certificate and its key go together: name both in tinytown.toml',
    })
  }
  if (texts.cert !== undefined && texts.key !== undefined) {
    checkPair(
      { cert: readCertificate('redis.tls_cert', cert, texts.cert), certFile: cert },
      { key: texts.key, keyFile: key },
    )
  }
  return texts
}

function readPem(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new WorkerError(
      'config',
      `Expected ${setting} to be a file that can be read, got ${path}: ${messageOf(error)}`,
      {
        remedy: 'Give the right path; a relative one starts at the town folder',
        cause: error,
      },
    )
  }
}

function readCertificate(setting: string, path: string | undefined, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw new WorkerError(
      'config',
      `Expected ${setting} to be a certificate in PEM form, got ${path}: ${messageOf(error)}`,
      { cause: error },
    )
  }
}

function checkPair(
  { cert, certFile }: { cert: X509Certificate; certFile: string | undefined },
  { key, keyFile }: { key: string; keyFile: string | undefined },
): void {
  let fits: boolean
  try {
    fits = cert.checkPrivateKey(createPrivateKey(key))
  } catch (error) {
    throw new WorkerError(
      'config',
      `Expected redis.tls_key to be a private key in PEM form without a passphrase, got ${keyFile}: ${messageOf(error)}`,
      {
        cause: error,
      },
    )
  }
  if (fits) return
  throw new WorkerError(
    'config',
    `Expected redis.tls_key to fit redis.tls_cert, got ${keyFile}, which is the key of another certificate than ${certFile}`,
    {
      remedy:
        'Compare them: openssl pkey -in KEY -pubout and openssl x509 -in CERT -pubkey -noout print the same',
    },
  )
}
