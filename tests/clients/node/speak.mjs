// The official OpenAI SDK for Node, asked once; what came is told as one line of JSON.
// node speak.mjs FILE [MORE-OF-THE-BODY as JSON], with BASE_URL and API_KEY in the environment.
import { writeFile } from "node:fs/promises";
import OpenAI, { APIError } from "openai";

const [file, more = "{}"] = process.argv.slice(2);
const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY });
const body = { model: "tts-1", voice: "alloy", input: "The quick brown fox", ...JSON.parse(more) };

try {
  const response = await client.audio.speech.create(body);
  await writeFile(file, response.body);
  console.log(JSON.stringify({ headers: Object.fromEntries(response.headers) }));
} catch (error) {
  if (!(error instanceof APIError)) throw error;
  const { constructor, status, message, code, param, type, requestID } = error;
  console.log(JSON.stringify({ class: constructor.name, status, message, code, param, type, requestID }));
}
