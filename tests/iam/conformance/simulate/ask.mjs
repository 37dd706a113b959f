// Answers questions of policy evaluation: {questions: [...], shared: {name: policies}} in JSON on
// standard input. A question may name what it shares with others.
// node ask.mjs FOLDER, in whose node_modules @cloud-copilot/iam-simulate is installed.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const entry = 'node_modules/@cloud-copilot/iam-simulate/dist/esm/index.js'
const { runSimulation, runUnsafeSimulation } = await import(
  pathToFileURL(join(process.argv[2], entry))
)

// `checked` holds the request against AWS's reference too: its action, resource and condition keys.
async function answer({ checked, shares, ...own }) {
  const simulation = { ...shared[shares], ...own }
  try {
    if (!checked) return { result: runUnsafeSimulation(simulation, {}) }
    const found = await runSimulation(simulation, {})
    if (found.resultType === 'error') return { error: JSON.stringify(found.errors) }
    const ignored = found.result?.ignoredContextKeys ?? []
    return { kind: found.resultType, result: found.overallResult, ignored }
  } catch (failure) {
    return { error: String(failure) }
  }
}

const { questions, shared } = JSON.parse(readFileSync(0, 'utf-8'))
const answers = []
for (const question of questions) answers.push(await answer(question))
process.stdout.write(JSON.stringify(answers))
