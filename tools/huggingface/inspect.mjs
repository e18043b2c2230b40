// Asks a hub for everything that @huggingface/hub can ask of a model:
//   node inspect.mjs HUB REPO REVISION FOLDER [TOKEN]
// and prints the answers as one JSON object. What fails is there as "status message".
// FOLDER becomes the client's cache.
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import {
  checkRepoAccess, countCommits, downloadFileToCacheDir, fileDownloadInfo, fileExists, listCommits, listFiles, listModels, modelInfo,
  parseSafetensorsMetadata, pathsInfo, repoExists, snapshotDownload, uploadFile, whoAmI,
} from "@huggingface/hub";

const [hubUrl, name, revision, cacheDir, accessToken] = process.argv.slice(2);
const caller = { hubUrl, accessToken: accessToken || undefined };
const repo = { type: "model", name };
const common = { ...caller, repo, revision };
const [owner] = name.split("/");

async function all(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

async function answer(ask) {
  try {
    return (await ask()) ?? null;
  } catch (err) {
    return `${err.statusCode ?? ""} ${err.message}`.trim();
  }
}

const weights = "model.safetensors";
const questions = {
  access: async () => (await checkRepoAccess({ ...caller, repo }), true),
  exists: () => repoExists({ ...caller, repo }),
  noModel: () => repoExists({ ...caller, repo: { type: "model", name: `${owner}/none` } }),
  file: () => fileExists({ ...common, path: weights }),
  noFile: () => fileExists({ ...common, path: "none.txt" }),
  // Without a revision, which this client calls HEAD.
  info: () => modelInfo({ ...caller, name, additionalFields: ["sha", "cardData", "tags", "safetensors", "gguf", "config", "library_name", "filePaths", "createdAt", "author"] }),
  models: () => all(listModels({ ...caller, search: { owner } })),
  tagged: () => all(listModels({ ...caller, search: { owner, tags: ["license:apache-2.0"] }, additionalFields: ["tags", "filePaths"], sort: "lastModified", limit: 1 })),
  untagged: () => all(listModels({ ...caller, search: { owner, tags: ["license:none"] } })),
  files: async () => (await all(listFiles({ ...common, recursive: true, expand: true }))).map(({ path, type, size, lastCommit }) => ({ path, type, size, commit: lastCommit?.id })),
  paths: () => pathsInfo({ ...common, paths: [weights, "1_Pooling", "none.txt"], expand: true }),
  commits: () => all(listCommits({ ...common, batchSize: 1 })),
  count: () => countCommits(common),
  download: () => fileDownloadInfo({ ...common, path: weights }),
  header: async () => (await parseSafetensorsMetadata({ ...common, path: weights, computeParametersCount: true })).parameterCount,
  cached: async () => relative(cacheDir, await downloadFileToCacheDir({ ...common, path: "config.json", cacheDir })),
  snapshot: async () => (await readFile(join(await snapshotDownload({ ...common, cacheDir }), "1_Pooling", "config.json"))).toString(),
  whoami: () => whoAmI(caller),
  upload: () => uploadFile({ ...caller, repo, file: { path: "new.txt", content: new Blob(["new"]) } }),
};

console.log = console.info = console.debug = console.error; // the client says there what it does
const answers = {};
for (const [key, ask] of Object.entries(questions)) answers[key] = await answer(ask);
process.stdout.write(JSON.stringify(answers, null, 1) + "\n");
