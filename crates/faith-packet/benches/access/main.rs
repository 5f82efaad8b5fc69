//! Measures a decision by the number of rules, beside a scan of them, and the time to read and to
//! index a list.
//!
//! Criterion prints throughput in rules: for a decision, the length of the list over its time.
#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

mod lists;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faith_packet::access::{AccessList, Rule};

use lists::{Connection, SHAPES};

const SIZES: [usize; 3] = [10, 1_000, 100_000];

/// The number of different connections, enough that each does not stay in the processor's caches.
const CONNECTIONS: usize = 16_384;

fn decide(criterion: &mut Criterion) {
    for shape in SHAPES {
        let mut group = criterion.benchmark_group(format!("decide/{}", shape.name));
        for size in SIZES {
            let rules = (shape.rules)(size);
            let mut connections = (shape.connections)(&rules, CONNECTIONS).into_iter().cycle();
            let list = AccessList::new(rules);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    let Some(Connection { client, destination }) = connections.next() else { return };
                    black_box(list.decide(black_box(client), black_box(destination), || false));
                });
            });
        }
        group.finish();
    }
}

/// Measures a list without an index.
fn scan(criterion: &mut Criterion) {
    for shape in SHAPES {
        let mut group = criterion.benchmark_group(format!("scan/{}", shape.name));
        for size in SIZES {
            let rules = (shape.rules)(size);
            let mut connections = (shape.connections)(&rules, CONNECTIONS).into_iter().cycle();
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    let Some(connection) = connections.next() else { return };
                    black_box(black_box(&rules).iter().find(|rule| matches(rule, black_box(connection))));
                });
            });
        }
        group.finish();
    }
}

fn matches(rule: &Rule, Connection { client, destination }: Connection) -> bool {
    rule.destination.contains(*destination.ip())
        && rule.source.contains(client)
        && rule.ports.as_ref().is_none_or(|ports| ports.contains(destination.port()))
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    for shape in SHAPES {
        for size in SIZES {
            let rules = (shape.rules)(size);
            let lines: Vec<String> = rules.iter().map(ToString::to_string).collect();
            let text = lines.join("\n");
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(format!("{}/parse", shape.name), size), |bencher| {
                bencher.iter(|| black_box(faith_packet::access::parse(black_box(&text), "list")));
            });
            group.bench_function(BenchmarkId::new(format!("{}/index", shape.name), size), |bencher| {
                bencher.iter_with_setup(|| rules.clone(), |rules| black_box(AccessList::new(rules)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decide, scan, read);
criterion_main!(benches);
