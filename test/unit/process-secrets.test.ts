import { describe, expect, it } from 'vitest'
import { secretRedactor, secretValues, uselessNames } from '../../src/process/secrets.ts'

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

const basic = (text: string) => Buffer.from(text).toString('base64')

describe('what is secret within a value', () => {
  it.each<[string, string, string[]]>([
    ['GIT_CONFIG_VALUE_0', 'AUTHORIZATION: basic QUJDREVGR0hJSktM', ['QUJDREVGR0hJSktM']],
    [
      'GIT_CONFIG_VALUE_1',
      `Authorization: Basic ${basic('me:hunter22')}`,
      [basic('me:hunter22'), 'hunter22'],
    ],
    ['ANTHROPIC_CUSTOM_HEADERS', 'Authorization: Bearer hdrsecretvalue1', ['hdrsecretvalue1']],
    ['ANTHROPIC_CUSTOM_HEADERS', 'X-Team: red\nx-api-key: hunter22hunter', ['hunter22hunter']],
    ['CURL_OPTIONS', '-H "PRIVATE-TOKEN: abcdefghijkl" -s', ['abcdefghijkl']],
    ['HEADER', 'Bearer abc123def456', ['abc123def456']],
    ['HEADER', 'Authorization: token /9j4AAQ+SkZJRg==', ['/9j4AAQ+SkZJRg==']],
  ])('is what stands behind a header in %s=%j', (name, value, expected) => {
    expect(guessed({ [name]: value })).toEqual(expected)
  })

  it.each<[string, string[]]>([
    ['https://ghp_onlyuserTOKEN99@github.com/x', ['ghp_onlyuserTOKEN99']],
    ['https://ghp_16C7e42F292c69:x-oauth-basic@github.com', ['ghp_16C7e42F292c69']],
    ['https://x-access-token:v1.0a1b2c3d4e@github.com', ['v1.0a1b2c3d4e']],
    ['https://h/?token=abcdefghijkl', ['abcdefghijkl']],
    ['https://h/a?x=1&access_token=a%2Bb3456789#end', ['a%2Bb3456789', 'a+b3456789']],
    ['https://h/a?api-key=hunter22hunter', ['hunter22hunter']],
    ['https://h/a?X-Amz-Credential=AKIAEXAMPLE1&X-Amz-Signature=0a1b2c3d', ['AKIAEXAMPLE1', '0a1b2c3d']],
    ['http://me:it\'s-"me"-42@proxy:3128', ['it\'s-"me"-42']],
    ['see https://me:hunter22@h/ and https://h/?sig=hunter33', ['hunter22', 'hunter33']],
    ['https://hooks.slack.com/services/T00/B00/XXsecretXX', ['XXsecretXX']],
    ['https://discord.com/api/webhooks/1122334455/aB3-d_9xYz', ['aB3-d_9xYz']],
  ])('is the token in the address %s', (url, expected) => {
    expect(guessed({ REMOTE: url })).toEqual(expected)
  })

  it.each([
    'https://github.com/acme/shop?tab=readme&token=',
    'https://jonathan@git.example.com/shop',
    'ssh://git@github.com/acme/shop',
    'https://h/a?token_type=bearer',
    'http://localhost:3000/api/webhooks/github',
    '/opt/auth:/usr/local/bin:/usr/bin',
    'press any key: continuing works',
    'Content-Type: application/json',
    '{"theme":"dark","keys":["a","b"],"homepage":"https://example.com/dark"}',
  ])('is nothing in %s', (value) => {
    expect(guessed({ SETTING: value })).toEqual([])
  })

  it('is every long text of a secret in JSON, but not whose it is', () => {
    const line = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ'
    const account = {
      type: 'service_account',
      project_id: 'shop-prod-123456',
      private_key_id: '0123456789abcdef',
      private_key: `-----BEGIN PRIVATE KEY-----\n${line}\n-----END PRIVATE KEY-----\n`,
      client_email: 'shop@shop-prod-123456.iam.gserviceaccount.com',
      token_uri: 'https://oauth2.googleapis.com/token',
      universe_domain: 'googleapis.com',
      more: [{ id: 'innersecret777', place: 'frankfurt' }],
    }
    const text = JSON.stringify(account)
    const found = guessed({ GOOGLE_CREDENTIALS: text })
    const alone = ['0123456789abcdef', account.private_key.trim(), line, 'innersecret777']
    expect(new Set(found)).toEqual(new Set([text, ...alone]))
  })

  it('is what a member of any JSON is named for', () => {
    const login = basic('docker:hunter22')
    const value = JSON.stringify({ auths: { 'r.example.com': { auth: login } } })
    expect(guessed({ REGISTRIES: value })).toEqual([login, 'hunter22'])
  })

  it('is bounded, however long the value is', () => {
    const many = JSON.stringify(Array.from({ length: 20_000 }, (_, index) => `innersecret${index}`))
    expect(guessed({ MANY_SECRETS: many })).toHaveLength(101)
    expect(guessed({ LONG: 'a'.repeat(120_000), LONGER: '-'.repeat(120_000) })).toEqual([])
  })
})

describe('a name that looks secret', () => {
  it.each([
    ['PWD', '/srv-data-of-nobody/app'],
    ['OLDPWD', '/data-of-nobody1/app'],
    ['SSH_AUTH_SOCK', '/run-of-nobody1/user/1000/ssh'],
    ['AUTH_TYPE', 'anonymous'],
    ['AUTH_MODE', 'disabled'],
    ['COOKIE_DOMAIN', '.app1.example.com'],
    ['PASSWORD_POLICY', 'at-least-one'],
    ['SECRET_NAME', 'shop-database'],
    ['KEY_FOLDER_AUTH', process.cwd()],
  ])('keeps nothing out that is no secret: %s=%s', (name, value) => {
    expect(guessed({ [name]: value })).toEqual([])
  })

  it.each([
    ['PWD', 'hunter22hunter'],
    ['MYSQL_PWD', '/9hunter22hunter'],
    ['AUTH_TYPE', 'hunter22hunter'],
    ['AUTH_TOKEN', 'anonymous'],
    ['AUTH_MODE', 'aBcDeFgHiJkLmNoP'],
    ['AWS_SECRET_ACCESS_KEY', '/abcdefgh/K7MDENG/bPxRfiCYEXAMPLEKEY'],
    ['SECRET_NAME', 'abcdefghijklmnopqrstuvwxyzabcd'],
    ['JWT', 'eyJhbGciOi.eyJzdWIiOi.abcdefgh'],
  ])('keeps a secret out all the same: %s=%s', (name, value) => {
    expect(guessed({ [name]: value })).toEqual([value])
  })
})

it('tells which names keep nothing out', () => {
  const environment = { GOOD: 'word', SHORT: 'abc', EMPTY: '' }
  expect(uselessNames({ environment, named: ['GOOD', 'SHORT', 'EMPTY', 'GONE'] })).toEqual([
    'The value of SHORT has less than 4 characters and is not redacted',
    'The value of EMPTY has less than 4 characters and is not redacted',
    'The variable GONE is not set: there is nothing to redact',
  ])
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
