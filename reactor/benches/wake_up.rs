//! What it costs to wake a green thread, in both forms of the reactor's loop (law R3), to offload
//! work (law R5), and to spawn and join.
//!
//! The form is fixed for a process at the reactor's first use, so the bench runs itself once for
//! each form; groups carry the form's name. Beside criterion's wall time, each load prints its CPU
//! time, which says more on a shared machine.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot run ends with a panic, and its result is printed"
)]

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rustix::time::{ClockId, clock_gettime};
use sshoal_reactor::sync::Queue;
use sshoal_reactor::{Config, Form, Scope, Stream, configure, offload, spawn};

const FORM: &str = "SSHOAL_REACTOR_BENCH_FORM";
const PAIRS: usize = 2000;
/// Messages each way over each pair in one measurement.
const ROUNDS: usize = 5;

fn main() {
    let Ok(name) = std::env::var(FORM) else {
        for name in ["green", "thread"] {
            let mut itself = Command::new(std::env::current_exe().unwrap());
            let status = itself.args(std::env::args_os().skip(1)).env(FORM, name);
            assert!(status.status().unwrap().success(), "the form {name} failed");
        }
        return;
    };
    let form = if name == "thread" {
        Form::Thread
    } else {
        Form::Green
    };
    assert!(configure(Config::default().form(form)));
    let mut criterion = Criterion::default().configure_from_args();
    wake_up(&mut criterion, &name);
    offload_round_trip(&mut criterion, &name);
    spawn_and_join(&mut criterion, &name);
    criterion.final_summary();
}

/// CPU time of the whole process, user and system.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    seconds + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// Measures a load of so many elements by criterion, and prints its CPU time for each of them.
fn measure(
    criterion: &mut Criterion,
    form: &str,
    load: &str,
    elements: usize,
    mut run: impl FnMut(),
) {
    let mut group = criterion.benchmark_group(form);
    group.throughput(Throughput::Elements(elements as u64));
    group.sample_size(20);
    let (mut runs, mut spent, mut wall) = (0_u32, Duration::ZERO, Duration::ZERO);
    group.bench_function(load, |bencher| {
        bencher.iter_custom(|iterations| {
            let (start, before) = (Instant::now(), cpu());
            for _ in 0..iterations {
                run();
            }
            runs += u32::try_from(iterations).unwrap();
            spent += cpu().saturating_sub(before);
            wall += start.elapsed();
            start.elapsed()
        });
    });
    group.finish();
    if runs > 0 {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / (f64::from(runs) * elements as f64);
        let (wall, cpu) = (each(wall), each(spent));
        println!("{form}/{load}: {wall:.2} us wall, {cpu:.2} us CPU each");
    }
}

fn stream(socket: UnixStream) -> Stream {
    socket.set_nonblocking(true).unwrap();
    Stream::from_socket(socket.into()).unwrap()
}

/// Two green threads on each of the pairs throw one byte to and fro; each byte is one wake-up.
fn wake_up(criterion: &mut Criterion, form: &str) {
    let starts: Vec<_> = (0..PAIRS).map(|_| Arc::new(Queue::bounded(1))).collect();
    let done = Arc::new(Queue::bounded(PAIRS));
    for start in &starts {
        let (near, far) = UnixStream::pair().unwrap();
        let (near, far) = (stream(near), stream(far));
        let (start, done) = (start.clone(), done.clone());
        let throws = move || {
            let forever = Scope::root();
            while start.pop(&forever).unwrap().is_some() {
                for _ in 0..ROUNDS {
                    near.write_all(&[1], &forever).unwrap();
                    near.read(&mut [0; 16], &forever).unwrap();
                }
                done.push((), &forever).unwrap();
            }
        };
        drop(spawn(throws).unwrap());
        let throws_back = move || {
            let forever = Scope::root();
            while far.read(&mut [0; 16], &forever).unwrap() > 0 {
                far.write_all(&[1], &forever).unwrap();
            }
        };
        drop(spawn(throws_back).unwrap());
    }
    let forever = Scope::root();
    let elements = PAIRS * ROUNDS * 2;
    measure(criterion, form, "wake_up_pairs_2000", elements, || {
        for start in &starts {
            start.push((), &forever).unwrap();
        }
        for _ in 0..PAIRS {
            done.pop(&forever).unwrap();
        }
    });
    starts.iter().for_each(|start| start.close());
}

/// Green threads offload empty work, each one after the other.
fn offload_round_trip(criterion: &mut Criterion, form: &str) {
    const TASKS: usize = 100;
    const EACH: usize = 50;
    measure(criterion, form, "offload_tasks_100", TASKS * EACH, || {
        let work = || (0..EACH).for_each(|_| offload(|| ()).unwrap());
        let tasks: Vec<_> = (0..TASKS).map(|_| spawn(work).unwrap()).collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// A green thread spawns others and joins them.
fn spawn_and_join(criterion: &mut Criterion, form: &str) {
    const TASKS: usize = 1000;
    measure(criterion, form, "spawn_join_1000", TASKS, || {
        let all = || {
            let tasks: Vec<_> = (0..TASKS).map(|_| spawn(|| ()).unwrap()).collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
        };
        spawn(all).unwrap().join().unwrap();
    });
}
