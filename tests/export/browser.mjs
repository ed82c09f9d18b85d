// What Chromium makes of a page: browser.mjs CHROMIUM FILE FOLDER prints one JSON object, and leaves screen.png and
// print.pdf in FOLDER. It speaks DevTools' protocol over the pipe that --remote-debugging-pipe opens.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [program, file, folder] = process.argv.slice(2)
const profile = mkdtempSync(join(tmpdir(), 'chromium-'))
const browser = spawn(program, [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', // /dev/shm is 64 MB in many containers
  `--user-data-dir=${profile}`, '--remote-debugging-pipe',
], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] })

// a browser that does not come up, or hangs, fails the test instead of keeping it, and says where it was
const ended = new Promise(resolve => browser.on('error', resolve).on('exit', (code, signal) => resolve(signal ?? code)))
ended.then(how => waiting.forEach(({ method, reject }) => reject(new Error(`Chromium ended (${how}) in ${method}`))))
const patience = setTimeout(() => browser.kill('SIGKILL'), 240_000)

const [waiting, listeners] = [new Map(), new Map()]
let [last, rest] = [0, '']
browser.stdio[4].setEncoding('utf8').on('data', chunk => {
  const messages = (rest + chunk).split('\0')
  rest = messages.pop()
  for (const { id, method, params, result, error } of messages.map(m => JSON.parse(m))) {
    if (!id) { listeners.get(method)?.(params); continue }
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    error ? reject(new Error(error.message)) : resolve(result)
  }
})
const ask = (method, params = {}, sessionId) => new Promise((resolve, reject) => {
  waiting.set(++last, { method, resolve, reject })
  browser.stdio[3].write(JSON.stringify({ id: last, method, params, sessionId }) + '\0')
})

// What a person sees: the text that is laid out, and each picture with what of it has an area and a colour.
function look() {
  const boxes = [...document.querySelectorAll('svg')].map(svg => {
    const { left, right, top, bottom } = svg.getBoundingClientRect()
    const parts = [...svg.querySelectorAll('rect')].map(rect => {
      const box = rect.getBoundingClientRect()
      const inside = box.left >= left - 1 && box.right <= right + 1 && box.top >= top - 1 && box.bottom <= bottom + 1
      return { width: box.width, height: box.height, fill: getComputedStyle(rect).fill, inside }
    })
    const scale = svg.getScreenCTM().a // pixels of a unit of its own
    return { name: svg.getAttribute('aria-label'), width: right - left, height: bottom - top, scale, parts }
  })
  const { scrollWidth, clientWidth } = document.documentElement
  return { title: document.title, text: document.body.innerText, pictures: boxes, overflow: scrollWidth - clientWidth }
}

try {
  const { targetId } = await ask('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true })
  const page = (method, params) => ask(method, params, sessionId)
  const [requests, complaints] = [[], []]
  listeners.set('Network.requestWillBeSent', ({ request }) => requests.push(request.url))
  listeners.set('Log.entryAdded', ({ entry }) => complaints.push(entry.text))
  listeners.set('Runtime.exceptionThrown', ({ exceptionDetails }) => complaints.push(exceptionDetails.text))
  listeners.set('Runtime.consoleAPICalled', () => complaints.push('a script ran'))
  for (const domain of ['Network', 'Log', 'Runtime', 'Page']) await page(`${domain}.enable`)
  const seen = async width => {
    await page('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: false })
    return JSON.parse((await page('Runtime.evaluate', { expression: `JSON.stringify((${look})())` })).result.value)
  }
  // this document's load and no other: on a slow machine the empty page's comes after the question for the next one
  const loads = new Set()
  let arrived
  listeners.set('Page.lifecycleEvent', ({ name, loaderId }) => {
    if (name === 'load') { loads.add(loaderId); arrived?.() }
  })
  await page('Page.setLifecycleEventsEnabled', { enabled: true })
  const { loaderId } = await page('Page.navigate', { url: pathToFileURL(file).href })
  while (!loads.has(loaderId)) await new Promise(resolve => { arrived = resolve })
  const narrow = await seen(500)
  await page('Emulation.setEmulatedMedia', { media: 'print' })
  const print = await seen(720)
  await page('Emulation.setEmulatedMedia', { media: '' })
  const wide = await seen(1200)
  const { data: screen } = await page('Page.captureScreenshot', { captureBeyondViewport: true })
  writeFileSync(join(folder, 'screen.png'), Buffer.from(screen, 'base64'))
  const { data: printed } = await page('Page.printToPDF', { printBackground: false })
  writeFileSync(join(folder, 'print.pdf'), Buffer.from(printed, 'base64'))
  const pages = Buffer.from(printed, 'base64').toString('latin1').match(/\/Type\s*\/Page\b/g)?.length ?? 0
  console.log(JSON.stringify({ requests, complaints, pages, wide, narrow, print }))
  await ask('Browser.close')
} finally {
  setTimeout(() => browser.kill('SIGKILL'), 5_000).unref()
  await ended
  clearTimeout(patience)
  rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
}
