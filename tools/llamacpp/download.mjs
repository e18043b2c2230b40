// Downloads a quantization of a model with node-llama-cpp, as llama.cpp's -hf does:
//   node download.mjs HUB MODEL:QUANTIZATION FOLDER [TOKEN]
// and prints the path of the file.
import { resolveModelFile } from "node-llama-cpp";

const [hub, model, directory, huggingFace] = process.argv.slice(2);
try {
  const path = await resolveModelFile(`hf:${model}`, { directory, cli: false, download: "auto", endpoints: { huggingFace: hub }, tokens: huggingFace ? { huggingFace } : undefined });
  process.stdout.write(path + "\n");
} catch (err) {
  console.error(err.message);
  process.exit(1);
}
