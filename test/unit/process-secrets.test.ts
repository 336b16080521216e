import { describe, expect, it } from 'vitest'
import { secretRedactor, secretValues } from '../../src/process/secrets.ts'

const guessed = (environment: Record<string, string>) => secretValues({ environment, named: [], values: [] })

describe('a variable that looks secret', () => {
  it.each([
    'GITHUB_TOKEN',
    'OPENAI_API_KEY',
    'apikey',
    'AWS_SECRET_ACCESS_KEY',
    'PGPASSWORD',
    'DB_PASSWD',
    'MYSQL_PWD',
    'SSH_PASSPHRASE',
    'GOOGLE_CREDENTIALS',
    'NPM_AUTH',
    'npm_config__authToken',
    'GH_PAT',
    'HF_TOKENS',
  ])('is %s', (name) => {
    expect(guessed({ [name]: 'hunter22hunter' })).toEqual(['hunter22hunter'])
  })

  it.each([
    'PATH',
    'GIT_AUTHOR_NAME',
    'KEYBOARD_LAYOUT',
    'TOKENIZER',
    'COMPASS_HOME',
    'GIT_CONFIG_KEY_0',
    'PATIENCE',
  ])('is not %s', (name) => {
    expect(guessed({ [name]: 'hunter22hunter' })).toEqual([])
  })

  it.each([
    ['short', 'hunter2'],
    ['a number', '32000000'],
    ['a path', '/home/me/.config/key.pem'],
    ['a path of the home folder', '~/.ssh/id_ed25519'],
    ['a relative path', './certs/key.pem'],
    ['an address without a password', 'https://login.example.com/oauth/token'],
    ['empty', ''],
  ])('counts for nothing when its value is %s', (_, value) => {
    expect(guessed({ MY_KEY: value })).toEqual([])
  })

  it('may begin with a slash, as base64 does', () => {
    const value = '/Jx9vQ/bPxRfiCYEXAMPLEKEYwJalrXUtnFEMI+='
    expect(guessed({ AWS_SECRET_ACCESS_KEY: value })).toEqual([value])
  })

  it('brings the lines of a key, without its frame', () => {
    const line = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ'
    const key = `-----BEGIN PRIVATE KEY-----\n${line}\nshort\n-----END PRIVATE KEY-----`
    expect(guessed({ SSH_KEY: `${key}\n` })).toEqual([key, line])
  })
})

describe('the password in a URL', () => {
  it.each([
    ['http://me:s3cret%21word@proxy:3128', ['s3cret%21word', 's3cret!word']],
    ['postgres://:hunter22@db/shop', ['hunter22']],
    // Known to everybody, and the name of the database as well.
    ['postgres://postgres:postgres@db/shop', []],
    ['http://proxy:3128', []],
  ])('of %s is secret, whatever the variable is named', (url, expected) => {
    expect(guessed({ HTTP_PROXY: url })).toEqual(expected)
  })
})

it('takes what was named, and the passwords of Redis, also where they look like words', () => {
  const environment = { PLAIN: 'word', OTHER: 'other', SHORT: 'abc' }
  const values = secretValues({
    environment,
    named: ['PLAIN', 'SHORT', 'GONE'],
    values: ['redispw', undefined],
  })
  expect(values).toEqual(['redispw', 'word'])
})

it('makes a redactor that knows the forms of all of them', () => {
  const redactor = secretRedactor({ environment: { A_TOKEN: 'quo"ted one' }, named: [], values: ['p@ss'] })
  expect(redactor.text('quo"ted one, quo\\"ted one, p%40ss')).toBe('[redacted], [redacted], [redacted]')
})
