// Writes packages with odd but legal package.json into a folder, the same for the same seed:
//
//	node generate.js <folder> <seed> <count> <scope> <kind>
//
// A kind "library" has all that npm's own libraries publish. The others are clients by name: they
// have less, each what that client takes.
'use strict'
const fs = require('fs')
const path = require('path')

const [root, seed, count, scope, kind] = process.argv.slice(2)

// mulberry32, a small generator that is the same in every Node
let state = Number(seed) >>> 0
const random = () => {
  state = (state + 0x6D2B79F5) >>> 0
  let t = state
  t = Math.imul(t ^ (t >>> 15), t | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
const chance = p => random() < p
const pick = list => list[Math.floor(random() * list.length)]
const some = (list, most) => {
  const n = Math.floor(random() * (most + 1))
  return [...new Set(Array.from({ length: n }, () => pick(list)))]
}
const fromKeys = (keys, value) => Object.fromEntries(keys.map(k => [k, value(k)]))

// What only npm's libraries read, or only some clients. The clients that are not listed are as
// strict as can be.
const library = kind === 'library'
const npm = library || /^npm/.test(kind)
const can = {
  versions: npm || /^pnpm(9|10)$/.test(kind), // that have to be normalized; that pnpm has npm publish
  values: library, // dependencies and scripts that are no strings
  lists: library, // dependencies as arrays and text
  bins: npm, // names and targets of commands that have to be normalized
  binList: npm || kind === 'yarn1',
  bundles: npm, // bundleDependencies, of what is not there
  installed: npm || /^(yarn1|pnpm)/.test(kind), // dependencies that are in no registry
  git: npm || /^(yarn1|pnpm)/.test(kind),
  comments: !/^yarn[234]/.test(kind), // among dependencies
  trailing: library || /^npm(9|1)/.test(kind), // space after a version
  bytes: !/^pnpm12/.test(kind), // no UTF-8, deep nesting, lone surrogates
  mark: true, // a byte order mark
  repeated: !/^yarn[234]/.test(kind), // keys
  engines: library || kind === 'yarn1', // as a list
  wrong: npm, // fields of a wrong type
}

const words = ['left-pad', 'a', 'b-c', '@x/y', 'lodash', 'Upper', 'x.y', '0', '10']
const inherited = ['constructor', 'toString', 'hasOwnProperty'] // by every object of JavaScript
const ranges = ['^1.0.0', '1.x', '*', '', '>=1 <3 || 4', 'latest', 'npm:other@^2', '~1.2.3-rc.1', ' 1.0.0 ', 'v1.2.3', 'http://files.example/x.tgz', 'file:../x']
const repositories = ['user/repo', 'user/repo#v1.0', 'github:user/repo#semver:^1', 'gitlab:group/repo', 'bitbucket:u/r#x', 'gist:11081aaa281',
  'git://github.com/u/r.git', 'git+ssh://git@github.com/u/r.git#abc', 'git@github.com:u/r.git', 'https://github.com/u/r', 'https://github.com/u/r.git#main',
  'git+https://user:secret@github.com/u/r.git', 'https://github.com/u/r/tree/next', 'https://github.com/u/r/archive/v1.tar.gz', 'git+https://gitlab.com/u/r.git',
  'http://github.com/u/r.git', 'ssh://git@bitbucket.org/u/r', 'https://www.github.com/u/r', 'git+https://git.example/u/r.git#x%20y', 'git+https://github.com/u/r.git#a%2Fb',
  'git+https://gist.github.com/11081aaa281.git', 'git@gist.github.com:11081aaa281.git', 'git@git.example:u/r.git']
const commands = ['node x.js', 'tsc -p .', './node_modules/.bin/tsc', 'node_modules/.bin/a && ./node_modules/.bin/b', '.\\node_modules\\.bin\\x', 'node_modules/.bin/node_modules/.bin/x',
  'echo "é\u2028"', '', ' ', 'node-gyp rebuild', 'prebuild-install || node-gyp rebuild', 'x'.repeat(3000)]
const scripts = ['test', 'build', 'preinstall', 'install', 'postinstall', 'prepare', 'prepublish', 'prepack', 'postpack', 'prepublishOnly', 'preprepare', 'start', 'uninstall', '//', 'constructor', 'Install']

const value = () => pick([null, true, false, 0, -1.5e3, '', 'text', 'é', [], {}, ['x', { y: 1 }], { a: { b: [1, { c: null }] } }, 12345678901234567890n])

// What npm 9 and later stumble over is in few packages, or there were none left.
let values, strange

function spec () {
  if (can.git && chance(0.3)) return pick(repositories)
  if (values && chance(0.3)) return pick([null, 0, false, 5, {}, ['x'], true])
  return pick(ranges)
}

function dependencies (most) {
  const list = fromKeys(some(strange ? [...words, ...inherited] : words, most), spec)
  if (can.comments && chance(0.1)) list['//'] = 'a comment'
  return list
}

function listed (most) {
  const list = dependencies(most)
  if (!can.lists || !chance(0.1)) return list
  const entries = Object.keys(list).filter(k => /^[a-z]/.test(k)).map(k => k + pick(['', '@1.0.0', ' 1.x', '@^2', '>=1', '@u/r']))
  return chance(0.5) ? entries : entries.join(pick([' ', ', ', '\n']))
}

function bin (name) {
  if (!can.bins) return pick(['./cli.js', 'cli.js', { [name]: './cli.js' }, { a: 'cli.js', b: './lib/b.js' }, {}])
  const all = fromKeys(some(['a', 'b.js', '@s/c', 'x/y/d', '..', 'C:\\e', 'f', './g', 'h i', '\\\\k'], 4),
    () => pick(['./cli.js', 'cli.js', '/cli.js', '../cli.js', './lib/../cli.js', 'lib\\b.js', './', 'missing', '', 'lib/b.js/']))
  if (library && chance(0.2)) all.z = pick([null, 5, {}])
  return pick(['./cli.js', '/cli.js', 'lib/../cli.js', '', all, all, all, {}, ...(can.binList ? [['./cli.js', 'lib/b.js']] : [])])
}

function bundles (deps) {
  if (!can.bundles) return undefined // pnpm wants to have installed otherwise
  return pick([undefined, undefined, undefined, [], true, false, some([...Object.keys(Object(deps)), 'bundled'], 3), ...(can.wrong && library ? [{ a: '1' }, null, 'a', ['', 5, 'a']] : [])])
}

function platform (list) {
  return pick([undefined, undefined, some(list, 2), pick(list), ['!' + pick(list)]])
}

function make (i) {
  const files = { 'index.js': '', 'cli.js': '#!/usr/bin/env node\n', 'lib/b.js': '#!/usr/bin/env node\n' }
  const bare = 'pkg-' + i
  const name = scope ? `@${scope}/${bare}` : bare
  const p = {}
  values = can.values && chance(0.1)
  strange = library && chance(0.05)
  const put = (key, v) => { if (v !== undefined) p[key] = v }
  put('name', can.versions && library && chance(0.1) ? pick([` ${name}`, `${name}\n`, `\t${name} `]) : name)
  const version = pick(['1.0.0', '0.1.2', '10.20.30'])
  put('version', can.versions && chance(0.4)
    ? pick(['v', '=', ' ', '= v', '0', '']) + version + pick(['', '+build.7', can.trailing ? ' ' : '', '-rc.1', '-rc.01', 'beta', '-x.0.y'])
    : version)
  // npm wants a tag for what is a prerelease
  if (!library && /-|beta/.test(p.version)) p.version = version
  put('license', 'MIT')
  if (chance(0.7)) {
    put('scripts', fromKeys(some(scripts, 6), () => can.values && chance(0.1) ? pick([null, 5, {}, ['x'], false]) : pick(commands)))
    // not all clients can be told not to run these
    if (!library) for (const k of Object.keys(p.scripts)) if (/^pre|^post|^publish/.test(k) && !/install/.test(k)) p.scripts[k] = 'echo packed'
    if (can.wrong && library && chance(0.05)) p.scripts = pick([null, 'text', [], ['a'], 5])
  }
  if (chance(0.15)) files['binding.gyp'] = '{}'
  if (library && chance(0.05)) files['other.gyp'] = '{}'
  if (chance(0.1)) put('gypfile', pick([true, false, ...(library ? [null, 'no'] : [])]))
  if (chance(0.1)) files['server.js'] = ''
  if (chance(0.1)) files.AUTHORS = 'Alice <alice@acme.test>\n# nobody\nBob\n'
  if (chance(0.3)) files['README.md'] = '# A package\n\nWith a description.\n'
  if (chance(0.4)) put('bin', bin(bare))
  if (chance(0.15)) {
    // not /bin, where npm 6 finds the commands of the machine
    put('directories', { bin: pick(['bin', './bin', 'bin/', './bin/', ...(can.bins ? ['x/../bin'] : [])]), man: 'man' })
    Object.assign(files, { 'bin/one': '', 'bin/two.js': '', 'bin/sub/three': '', 'bin/.hidden': '', 'man/a.1': '' })
    if (chance(0.2)) files['bin/.npmignore'] = 'two.js\n'
  }
  if (chance(0.5)) put('dependencies', listed(4))
  if (chance(0.4)) put('devDependencies', listed(4))
  if (chance(0.3)) put('optionalDependencies', listed(3))
  if (chance(0.3)) {
    put('peerDependencies', dependencies(3))
    if (chance(0.5)) put('peerDependenciesMeta', fromKeys(Object.keys(p.peerDependencies), () => ({ optional: chance(0.5) })))
  }
  if (can.wrong && library && chance(0.05)) p[pick(['dependencies', 'devDependencies', 'optionalDependencies'])] = pick([null, false, 0, 5, true])
  if (!can.installed) for (const kinds of ['dependencies', 'devDependencies', 'optionalDependencies']) delete p[kinds]
  put(chance(0.5) ? 'bundleDependencies' : 'bundledDependencies', bundles(p.dependencies))
  if (library && chance(0.03)) put('bundleDependencies', ['a'])
  if (chance(0.4)) put('engines', can.engines && chance(0.2) ? ['node >= 0.6', 'npm'] : { node: pick(['>=0.1', '*', '>= 0.6 || 1']), npm: '*' })
  put('os', pick([undefined, undefined, ['linux', 'darwin', 'win32'], '!aix', ['!aix']]))
  put('cpu', pick([undefined, undefined, ['x64', 'arm64'], '!mips']))
  put('libc', pick([undefined, undefined, undefined, ['glibc', 'musl'], 'glibc']))
  if (!library) { delete p.os; delete p.cpu; delete p.libc } // who runs the test may be on another
  if (chance(0.3)) {
    put('files', ['index.js', 'cli.js', 'lib', ...(chance(0.5) ? ['*.gyp', 'bin'] : [])])
  }
  // What nobody checks.
  put('repository', pick([undefined, 'user/repo', { type: 'git', url: 'git+https://git.example/x.git' }]))
  put('author', pick([undefined, 'Alice <alice@acme.test> (https://acme.test)', { name: 'René' }]))
  if (library && chance(0.2)) put('keywords', pick(['a, b', ['x', 5], 5, {}]))
  for (const key of some(['config', 'x', 'exports', '_private', 'Scripts', 'devdependencies', 'dependancies', 'Bin', 'overrides', 'resolutions', 'funding', 'constructor', 'hasInstallScript', 'sideEffects'], 4)) {
    if (key === 'constructor' && kind === 'vlt') continue // which it cannot read
    if (!(key === 'overrides' || key === 'resolutions') || library) put(key, /^(overrides|resolutions|exports)$/.test(key) ? { forced: '1' } : value())
  }
  files['package.json'] = text(p)
  return files
}

// text writes a package.json as people and their editors do.
function text (p) {
  const keys = chance(0.5) ? Object.keys(p) : Object.keys(p).sort(() => random() - 0.5)
  const space = pick(['', ' ', '\n  '])
  const json = v => JSON.stringify(v, (k, v) => typeof v === 'bigint' ? Number(v) : v)
  const fields = keys.map(k => `${JSON.stringify(k)}:${json(p[k])}`)
  if (can.repeated && chance(0.2)) {
    fields.push('"config":{"a":1,"a":{"b":2,"b":[]}}', '"config":2', '"homepage":"https://acme.test/a","homepage":"https://acme.test/"')
  }
  if (can.bytes && chance(0.1)) fields.push(`"deep":${'[{"x":'.repeat(200)}0${'}]'.repeat(200)}`)
  if (can.bytes && chance(0.1)) fields.push('"lone":"\\ud800","keys":{"\\udc00":"\\ud83d"}')
  if (chance(0.1)) fields.push('"escaped\\u0020key":"\\u00e9\\/\\b"')
  if (chance(0.05)) fields.push(`"long":"${'é'.repeat(5000)}"`)
  const out = Buffer.from(`{${space}${fields.join(',' + space)}${space && '\n'}}${pick(['', '\n', '\r\n'])}`)
  if (can.bytes && chance(0.05)) return Buffer.concat([Buffer.from('{"latin":"Ren'), Buffer.from([0xe9]), Buffer.from('",'), out.subarray(1)])
  return can.mark && chance(0.1) ? Buffer.concat([Buffer.from('\ufeff'), out]) : out
}

for (let i = 0; i < Number(count); i++) {
  const dir = path.join(root, String(i))
  for (const [name, content] of Object.entries(make(i))) {
    const file = path.join(dir, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, content)
  }
}
