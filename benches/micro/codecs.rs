//! Decompression of one basket-like block per codec: what `floor` spends its time on.

// A benchmark has nobody to answer an error to.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use libdeflater::{CompressionLvl, Compressor};
use lz4::block::CompressionMode;
use root_benches::baskets::frame_into;

/// Transverse momenta as they are stored: falling, big-endian, with incompressible low bits.
fn values() -> Vec<u8> {
    let mut state = 1u32;
    let draw = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let uniform = f64::from(state >> 8) / f64::from(1u32 << 24);
        (15.0 - 20.0 * (1.0 - uniform).ln()) as f32
    };
    (0..80_000).map(draw).flat_map(f32::to_be_bytes).collect()
}

fn codecs(criterion: &mut Criterion) {
    let data = values();
    let mut deflate = Compressor::new(CompressionLvl::new(1).unwrap());
    let mut zlib = vec![0; deflate.zlib_compress_bound(data.len())];
    let length = deflate.zlib_compress(&data, &mut zlib).unwrap();
    zlib.truncate(length);
    let mut zstd = Vec::with_capacity(zstd_safe::compress_bound(data.len()));
    zstd_safe::compress(&mut zstd, &data, 5).unwrap();
    // The checksum that lz4 blocks begin with is not compared here.
    let mut lz4 = vec![0; 8];
    lz4.extend(lz4::block::compress(&data, Some(CompressionMode::HIGHCOMPRESSION(4)), false).unwrap());

    let mut group = criterion.benchmark_group("decompress");
    group.throughput(Throughput::Bytes(data.len() as u64));
    let mut out = vec![0; data.len()];
    let (mut inflater, mut context) = (libdeflater::Decompressor::new(), zstd_safe::DCtx::create());
    for (name, codec, frame) in [("zlib", *b"ZL", &zlib), ("zstd", *b"ZS", &zstd), ("lz4", *b"L4", &lz4)] {
        group.bench_function(name, |bencher| {
            let wanted = out.len();
            bencher.iter(|| frame_into(&mut inflater, &mut context, codec, black_box(frame), &mut out, wanted));
        });
    }
    group.finish();
}

criterion_group!(benches, codecs);
criterion_main!(benches);
