// A client that knows the .proto files and nothing else of FleetLabel: a drive from its log to exported labels, with an
// edit in between. Prints what it saw as JSON.
//
//   node client.mjs ADDRESS TOKEN FOLDER_OF_PROTO_FILES
import { createHash, randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [address, token, folder] = process.argv.slice(2);
const files = readdirSync(join(folder, "fleetlabel/v1")).filter((name) => name.endsWith(".proto"));
const definition = loader.loadSync(
  files.map((name) => `fleetlabel/v1/${name}`),
  { includeDirs: [folder], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true },
);
const v1 = grpc.loadPackageDefinition(definition).fleetlabel.v1;
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${token}`);
const sequence_id = "node.zarr";
const seen = { progress: {} };

function service(name) {
  return new v1[name](address, grpc.credentials.createInsecure());
}

function call(client, method, request) {
  return new Promise((resolve, reject) =>
    client[method]({ ...request }, metadata, { deadline: Date.now() + 120_000 }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    ),
  );
}

async function stream(client, method, request, each) {
  for await (const answer of client[method](request, metadata)) each(answer);
}

// The trailing metadata of a refusal holds an ErrorDetail; proto-loader gives messages no decoder of their own, a method
// that answers with one has.
function detailOf(error) {
  const [bytes] = error.metadata.get("fleetlabel-error-bin");
  const { type } = v1.ErrorDetail;
  return { bytes: bytes.length, fields: type.field.map((field) => field.name) };
}

const sequences = service("SequenceService");
const prelabels = service("PrelabelService");
const tracking = service("TrackingService");
const labels = service("LabelService");
const frames = service("FrameService");
const exportsOf = service("ExportService");
const operations = service("OperationService");

async function followed({ operation }) {
  let last = operation;
  const told = [];
  await stream(operations, "WatchOperation", { operation_id: operation.operation_id }, (answer) => {
    last = answer.operation;
    told.push(last.frames_done);
  });
  if (last.state !== "OPERATION_STATE_SUCCEEDED") throw new Error(`${last.kind}: ${JSON.stringify(last.error)}`);
  seen.progress[last.kind] = { stage: last.stage, done: last.frames_done, total: last.frames_total, told: told.length };
  return last;
}

// Columns: little-endian bytes, without padding. A Buffer may begin anywhere, typed arrays may not: copy first.
function column(bytes, Type) {
  const own = new Uint8Array(bytes).buffer;
  return Array.from(new Type(own));
}

async function cuboids() {
  const found = { track_id: [], frame: [], center_m: [], score: [], classes: [], base_record: 0, base_version: "" };
  await stream(labels, "GetBoxes3D", { sequence_id }, ({ state, boxes }) => {
    found.base_record = state.record;
    found.base_version = state.base_version;
    const { columns } = boxes;
    found.track_id.push(...column(columns.track_id_i64, BigInt64Array).map(Number));
    found.frame.push(...column(columns.frame_i32, Int32Array));
    found.center_m.push(...column(boxes.center_m_f64, Float64Array));
    found.score.push(...column(columns.score_f32, Float32Array));
    found.classes = columns.class_names;
  });
  return found;
}

await followed(await call(sequences, "IngestSequence", { request_id: randomUUID(), source: "drive", sequence_id }));
await followed(
  await call(prelabels, "StartPrelabel", {
    request_id: randomUUID(),
    sequence_id,
    model: "bright.onnx",
    detect: { conf: 0.1, backend: "onnxruntime" },
  }),
);
await followed(await call(prelabels, "StartLift", { request_id: randomUUID(), sequence_id }));
const tracked = await followed(await call(tracking, "StartTracking", { request_id: randomUUID(), sequence_id }));
seen.version = tracked.pipeline.version;

const before = await cuboids();
seen.before = before;
const object_id = before.track_id[0];
const frame = before.frame[0];
const [x, y, z] = before.center_m.slice(0, 3);
const edit = { object_id, set_keyframe_3d: { frame, center_m: [x + 0.5, y, z], yaw_rad: 0.25 } };
const commit = {
  request_id: randomUUID(),
  sequence_id,
  base_record: before.base_record,
  base_version: before.base_version,
  edits: [edit],
  reason: "half a metre ahead",
};
const saved = await call(labels, "CommitEdits", commit);
const again = await call(labels, "CommitEdits", commit);
seen.edit = { object_id, frame, record: saved.record.record, repeated: again.repeated };
seen.after = await cuboids();
try {
  await call(labels, "CommitEdits", { ...commit, request_id: randomUUID() });
} catch (error) {
  seen.stale = { code: error.code, name: grpc.status[error.code], ...detailOf(error) };
}
try {
  await call(sequences, "GetSequence", { sequence_id: "../elsewhere.zarr" });
} catch (error) {
  seen.outside = grpc.status[error.code];
}

seen.pictures = 0;
await stream(frames, "StreamPictures", { sequence_id, frames: { start_frame: 0, stop_frame: 3 } }, ({ picture }) => {
  seen.pictures += picture[0] === 0xff && picture[1] === 0xd8 ? 1 : 0;
});

const version = (await call(labels, "SaveVersion", { request_id: randomUUID(), sequence_id, name: "by_node" })).version;
const exported = await followed(
  await call(exportsOf, "StartExport", { request_id: randomUUID(), sequence_id, format: "kitti", version: version.name }),
);
const digests = {};
await stream(exportsOf, "DownloadExport", { operation_id: exported.operation_id }, ({ path, data }) => {
  digests[path] ??= createHash("sha256");
  digests[path].update(data);
});
seen.files = Object.fromEntries(Object.entries(digests).map(([path, digest]) => [path, digest.digest("hex")]));
seen.listed = Object.fromEntries(exported.export.files.map(({ path, sha256 }) => [path, sha256]));
console.log(JSON.stringify(seen));
process.exit(0);
