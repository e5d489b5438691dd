// Publishes the packages in a folder with the libraries of an npm, in one process, to nobody:
//
//	node publish.js <folder of npm> <folder with packages> <folder for its cache> <file>
//
// It writes a line for each package: the body of the request that npm would send, or an error.
'use strict'
const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')

const [npm, root, cache, out] = process.argv.slice(2)
const load = createRequire(path.join(npm, 'package.json'))
const version = load('./package.json').version
const registry = 'http://registry.example/'
const options = { registry, cache, npmVersion: version, '//registry.example/:_authToken': 'none', token: 'none', ignoreScripts: true, dryRun: true, defaultTag: 'latest' }
console.log = console.warn = () => {} // what libraries print

// npm-registry-fetch with nothing behind it
let sent
const libnpmpublish = createRequire(load.resolve('libnpmpublish'))
const fetch = libnpmpublish('npm-registry-fetch')
libnpmpublish.cache[libnpmpublish.resolve('npm-registry-fetch')].exports = Object.assign((url, opts) => {
  sent = JSON.stringify(bodyOf(opts))
  return Promise.resolve({ ok: true })
}, fetch)
const { publish } = load('libnpmpublish')
const major = Number(version.split('.')[0])
const bodyOf = opts => major === 6 ? libnpmpublish('figgy-pudding')({ body: {} })(opts).body : opts.body

// read returns the manifest, as lib/publish.js of npm 6 to 8 and lib/commands/publish.js later.
async function read (dir) {
  if (major < 9) {
    return new Promise((resolve, reject) => load('read-package-json')(path.join(dir, 'package.json'), (err, p) => err ? reject(err) : resolve(p)))
  }
  const PackageJson = load('@npmcli/package-json')
  const { content } = await (await PackageJson.fix(dir, { changes: [] })).prepare()
  return content
}

// pack returns the tarball. npm 6 does it in lib/pack.js, which wants all of npm around it, and the
// library of 7 and 8 would run scripts: both do it so.
async function pack (dir) {
  if (major > 8) return load('libnpmpack')(`file:${dir}`, options)
  const list = await load('npm-packlist')({ path: dir })
  const file = path.join(cache, 'package.tgz')
  await load('tar').create({ file, cwd: dir, prefix: 'package/', portable: true, mtime: new Date('1985-10-26T08:15:00.000Z'), gzip: true }, list.map(f => `./${f}`))
  return fs.readFileSync(file)
}

async function main () {
  for (const name of fs.readdirSync(root).sort((a, b) => a - b)) {
    sent = undefined
    let error
    try {
      const dir = path.join(root, name)
      const tarball = await pack(dir)
      await publish(await read(dir), tarball, options)
    } catch (err) {
      error = err.message || String(err)
    }
    fs.appendFileSync(out, JSON.stringify(sent ? { name, body: sent } : { name, error: error || 'nothing was sent' }) + '\n')
  }
}
main()
