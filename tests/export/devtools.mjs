// What the code of Chrome's DevTools makes of a heap snapshot: devtools.mjs MODULE FILE prints one JSON object.
import { createReadStream } from 'node:fs'

const { parse } = await import(process.argv[2])
const snapshot = await parse(createReadStream(process.argv[3], 'utf-8'))
const [names, seen] = [{}, { nodes: 0, edges: 0, bytes: 0 }]
for (let index = 0; index < snapshot.nodes.length; index += snapshot.nodeFieldCount) {
  const node = snapshot.createNode(index)
  seen.nodes++
  seen.edges += node.edgesCount()
  seen.bytes += node.selfSize()
  if (node.type() === 'object') names[node.name()] = (names[node.name()] ?? 0) + 1
}
console.log(JSON.stringify({ ...seen, retained: snapshot.rootNode().retainedSize(), names }))
