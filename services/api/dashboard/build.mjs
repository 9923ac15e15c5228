// Bundles the dashboard into ../web, which is committed: go build needs no Node.
// node build.mjs [FOLDER]: into another folder, to compare.
import { readFile, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const folder = process.argv[2] ?? '../web';

await build({
  entryPoints: { app: 'src/main.tsx' },
  outdir: folder,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  charset: 'utf8',
  legalComments: 'none',
  banner: {
    js: '// Made of services/api/dashboard by `npm run build`. It contains Preact and uPlot: /licenses.txt',
    css: '/* Made of services/api/dashboard by `npm run build`. It contains uPlot: /licenses.txt */',
  },
  logLevel: 'warning',
});

// The coasts of the world, for the map of search results; fetched when there is one.
const { transform, arcs } = JSON.parse(await readFile('node_modules/world-atlas/land-110m.json', 'utf8'));
await writeFile(`${folder}/coasts.json`, JSON.stringify({ transform, arcs }) + '\n');

const licences = await Promise.all(['preact', 'uplot', 'world-atlas'].map(async (name) => `${name}\n\n${await readFile(`node_modules/${name}/LICENSE`, 'utf8')}`));
await writeFile(`${folder}/licenses.txt`, licences.map((l) => l.trimEnd() + '\n').join('\n'));
