use super::*;
use std::{sync::atomic::AtomicU64, time::Duration};

fn sum_of_indices(team: &ThreadTeam) -> u64 {
    let sum = AtomicU64::new(0);
    team.run(&|member| {
        sum.fetch_add(1000 + member.index as u64, Ordering::Relaxed);
    });
    sum.into_inner()
}

fn expected(size: usize) -> u64 {
    (0..size as u64).map(|index| 1000 + index).sum()
}

#[test]
fn every_member_runs_every_job_once() {
    for size in 1..=8 {
        let team = ThreadTeam::new(size);
        assert_eq!(team.size(), size);
        for _ in 0..10_000 / size {
            assert_eq!(sum_of_indices(&team), expected(size));
        }
    }
}

#[test]
fn barriers_separate_phases() {
    for size in [1, 2, 3, 8] {
        let team = ThreadTeam::new(size);
        let phases: Vec<AtomicUsize> = (0..50).map(|_| AtomicUsize::new(0)).collect();
        for _ in 0..20 {
            phases.iter().for_each(|phase| phase.store(0, Ordering::Relaxed));
            team.run(&|member| {
                for phase in &phases {
                    phase.fetch_add(1, Ordering::Relaxed);
                    member.barrier.wait();
                    assert_eq!(phase.load(Ordering::Relaxed), member.count);
                    member.barrier.wait();
                }
            });
        }
    }
}

#[test]
fn parked_members_wake_up() {
    let team = ThreadTeam::new(3);
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(20));
        assert_eq!(sum_of_indices(&team), expected(3));
    }
    thread::sleep(Duration::from_millis(20));
    drop(team);
}

#[test]
fn teams_come_and_go() {
    for _ in 0..200 {
        let team = ThreadTeam::new(2);
        assert_eq!(sum_of_indices(&team), expected(2));
    }
    for _ in 0..200 {
        drop(ThreadTeam::new(3));
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_team_lives_on() {
    let team = ThreadTeam::new(4);
    for culprit in 0..4 {
        for use_barrier in [false, true] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.run(&|member| {
                    if member.index == culprit {
                        resume_unwind(Box::new("on purpose"));
                    }
                    if use_barrier {
                        member.barrier.wait();
                    }
                });
            }));
            assert_eq!(result.unwrap_err().downcast_ref(), Some(&"on purpose"));
            assert_eq!(sum_of_indices(&team), expected(4));
        }
    }
}

#[test]
fn calls_from_several_threads_take_turns() {
    let team = ThreadTeam::new(3);
    let running = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    team.run(&|member| {
                        assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                        member.barrier.wait();
                        assert_eq!(running.load(Ordering::SeqCst), 3);
                        member.barrier.wait();
                        running.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        }
    });
}

#[test]
fn a_call_inside_a_job_runs_alone() {
    let team = ThreadTeam::new(2);
    let inner = AtomicUsize::new(0);
    team.run(&|_| {
        team.run(&|member| {
            assert_eq!((member.index, member.count), (0, 1));
            member.barrier.wait();
            inner.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(inner.into_inner(), 2);
}

#[test]
fn jobs_borrow_from_the_stack() {
    let team = ThreadTeam::new(2);
    let mut values = vec![0u64; 1000];
    for round in 1..=100 {
        qint_core::team::for_each(&team, values.chunks_mut(7), |chunk| chunk.iter_mut().for_each(|value| *value += 1));
        assert!(values.iter().all(|&value| value == round));
    }
}

/// Not an assertion: run with `--nocapture` to see the cost.
#[test]
fn fork_and_join_are_quick() {
    let team = ThreadTeam::new(2);
    let rounds = 100;
    let time = |_| {
        let start = std::time::Instant::now();
        (0..rounds).for_each(|_| team.run(&|_| {}));
        start.elapsed().as_nanos() / rounds
    };
    let mut times: Vec<u128> = (0..100).map(time).collect();
    times.sort_unstable();
    println!("fork and join of two members: {} ns at best, {} ns in the middle", times[0], times[50]);
}
