//! What the daemon costs between a client and the Messages API, against a plain nginx reverse proxy as the floor.
//!
//! Client and upstream live in this process; the proxies are processes of their own, and what is compared is their CPU
//! time. Both stand before the same upstream, and take their turns in one run. Ours has everything on: the credential is
//! checked, requests are limited, counted and measured. Prints one JSON object a line. Nothing fails in this file; `ok`
//! says whether the need is met.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a benchmark starts processes, prints its figures and stops at the first surprise"
)]

mod cpu;
mod daemon;
mod figure;
mod idle;
mod latency;
mod load;
mod many;
mod nginx;
mod upstream;

fn main() {
    // Anything that asks for a list of tests gets none; cargo runs benches with `--bench`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        return;
    }
    // Words name the parts that are wanted, as in `cargo bench --bench gateway -- cached`; none is all.
    let all = words.iter().all(|word| word.starts_with("--"));
    let wants = |part: &str| all || words.iter().any(|word| word == part);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let upstream = upstream::start().await;
        if wants("cpu") {
            cpu::measure(folder.path(), upstream).await;
        }
        if wants("cached") {
            cpu::cached(folder.path(), upstream).await;
        }
        if wants("latency") {
            latency::measure(folder.path(), upstream).await;
        }
        if wants("many") {
            many::measure(folder.path(), upstream).await;
        }
        if wants("idle") {
            idle::measure(folder.path(), upstream).await;
        }
    });
}
