//! What it costs to read a message and to write it, for each serializer.
#![allow(missing_docs, reason = "criterion's macros make public functions without documentation")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realmkeeper_actors::{
    codec::{Arguments, Payload, Serializer},
    message::{Call, ClientMessage, Publish, PublishOptions, Sparse, id::RequestId},
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

criterion_group!(benches, codec);
criterion_main!(benches);
