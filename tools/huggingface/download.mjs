// Downloads every file of a revision of a model with @huggingface/hub:
//   node download.mjs HUB REPO REVISION FOLDER [TOKEN]
// and prints what the hub says of the model as one line of JSON.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { downloadFile, listFiles, modelInfo } from "@huggingface/hub";

const [hubUrl, repo, revision, folder, accessToken] = process.argv.slice(2);
const common = { hubUrl, repo: { type: "model", name: repo }, revision, accessToken: accessToken || undefined };

try {
  const info = await modelInfo({ hubUrl, name: repo, revision, accessToken: accessToken || undefined, additionalFields: ["sha", "cardData", "tags"] });
  console.log(JSON.stringify(info));
  for await (const file of listFiles({ ...common, recursive: true })) {
    if (file.type !== "file") continue;
    const blob = await downloadFile({ ...common, path: file.path });
    if (!blob) throw new Error(`${file.path} is not there`);
    const target = join(folder, file.path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, Buffer.from(await blob.arrayBuffer()));
  }
} catch (err) {
  console.error(`${err.statusCode ?? ""} ${err.message}`.trim());
  process.exit(1);
}
