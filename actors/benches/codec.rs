//! What it costs to read a message and to write it, for each serializer, and to have its payload in another one.
#![allow(missing_docs, reason = "criterion's macros make public functions without documentation")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realmkeeper_actors::{
    codec::{Arguments, Payload, Serializer},
    message::{
        Call, ClientMessage, Publish, PublishOptions, Sparse,
        id::RequestId,
        value::{Dict, Value},
    },
};
use std::hint::black_box;

const DEPTH: usize = 64;

/// The sizes of the one string that is the payload.
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];

fn messages(serializer: Serializer, size: usize) -> [ClientMessage; 2] {
    let arguments = Arguments { args: vec!["x".repeat(size).into()], ..Arguments::default() };
    let payload = Payload::build(serializer, &arguments).expect("text has a form in every serializer");
    let call = Call {
        request: RequestId::FIRST,
        options: Sparse::default(),
        procedure: "com.example.procedure".into(),
        payload: payload.clone(),
    };
    let publish = Publish {
        request: RequestId::FIRST,
        options: PublishOptions { acknowledge: Some(true), exclude_me: Some(false), ..Default::default() }
            .into(),
        topic: "com.example.topic".into(),
        payload,
    };
    [call.into(), publish.into()]
}

fn codec(criterion: &mut Criterion) {
    for serializer in Serializer::ALL {
        for size in SIZES {
            for message in messages(serializer, size) {
                let mut frame = Vec::new();
                message.encode(serializer, &mut frame);
                let frame = Bytes::from(frame);
                let name = format!("{} {serializer}", message.name());

                let mut decode = criterion.benchmark_group("decode");
                decode.throughput(Throughput::Bytes(frame.len() as u64));
                decode.bench_function(BenchmarkId::new(&name, size), |bencher| {
                    bencher.iter(|| ClientMessage::decode(serializer, black_box(&frame), DEPTH));
                });
                if serializer == Serializer::Json {
                    let name = format!("{} serde_json::Value", message.name());
                    decode.bench_function(BenchmarkId::new(name, size), |bencher| {
                        bencher.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&frame)));
                    });
                }
                decode.finish();

                let mut encode = criterion.benchmark_group("encode");
                encode.throughput(Throughput::Bytes(frame.len() as u64));
                let mut out = Vec::with_capacity(frame.len());
                encode.bench_function(BenchmarkId::new(&name, size), |bencher| {
                    bencher.iter(|| {
                        out.clear();
                        black_box(&message).encode(serializer, &mut out);
                        black_box(&out);
                    });
                });
                encode.finish();
            }
        }
    }
}

/// The sizes of what is written in another serializer.
const TRANSCODED: [usize; 4] = [64, 1024, 4096, 64 * 1024];

/// Arguments as they are usual, and such as have only one kind of values: `text`, many `numbers`.
fn arguments(kind: &str, size: usize) -> Arguments {
    let record = |number: usize| {
        let id = 1_000_000 * number as u64;
        Value::from(Dict::from([
            ("id", Value::Integer(id)),
            ("name", "a sensor".into()),
            ("value", Value::Float(21.5 + number as f64)),
            ("valid", true.into()),
        ]))
    };
    let args = match kind {
        "text" => vec!["x".repeat(size).into()],
        "numbers" => vec![Value::List((0..size as u64 / 4).map(Value::Integer).collect())],
        _ => vec![Value::List((0..size / 64).map(record).collect())],
    };
    Arguments { args, ..Arguments::default() }
}

fn transcode(criterion: &mut Criterion) {
    for (kind, size) in
        ["records", "numbers", "text"].into_iter().flat_map(|kind| TRANSCODED.map(|size| (kind, size)))
    {
        for from in Serializer::ALL {
            let payload =
                Payload::build(from, &arguments(kind, size)).expect("every serializer has a form for it");
            for to in Serializer::ALL.into_iter().filter(|to| *to != from) {
                let mut group = criterion.benchmark_group("transcode");
                group.throughput(Throughput::Bytes(payload.len() as u64));
                group.bench_function(BenchmarkId::new(format!("{kind} {from} to {to}"), size), |bencher| {
                    bencher.iter(|| black_box(&payload).transcode(to));
                });
                group.finish();
            }
        }
    }
}

criterion_group!(benches, codec, transcode);
criterion_main!(benches);
