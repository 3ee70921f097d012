//! Which stage is built when: several at once, each as soon as what it needs is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex};

use super::stage::{self, End};
use super::{BuildError, Building};

#[derive(Default)]
struct Board {
    begun: BTreeSet<usize>,
    ends: BTreeMap<usize, End>,
    /// The first failure; what fails afterwards fails because of it.
    failed: Option<BuildError>,
}

/// Builds every stage of the plan, and gives the end of its target.
pub fn run(site: &Building) -> Result<End, BuildError> {
    let board = Mutex::new(Board::default());
    let changed = Condvar::new();
    let workers = site.job.stages_at_once.clamp(1, site.plan.stages.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(site, &board, &changed));
        }
    });
    let mut board = board.into_inner().expect("no worker panics while it holds the board");
    match board.failed {
        Some(error) => Err(error),
        None => Ok(board.ends.remove(&site.plan.target).expect("without a failure every stage has an end")),
    }
}

fn work(site: &Building, board: &Mutex<Board>, changed: &Condvar) {
    const HELD: &str = "no worker panics while it holds the board";
    let mut held = board.lock().expect(HELD);
    loop {
        if held.failed.is_some() || held.begun.len() == site.plan.stages.len() {
            return;
        }
        let ready = |board: &Board, number: &usize| {
            site.plan.stage(*number).needs.iter().all(|need| board.ends.contains_key(need))
        };
        let next = site
            .plan
            .stages
            .iter()
            .map(|stage| stage.number)
            .find(|number| !held.begun.contains(number) && ready(&held, number));
        let Some(number) = next else {
            held = changed.wait(held).expect(HELD);
            continue;
        };
        held.begun.insert(number);
        let ends: BTreeMap<usize, End> =
            site.plan.stage(number).needs.iter().map(|need| (*need, held.ends[need].clone())).collect();
        drop(held);
        let built = stage::build(site, site.plan.stage(number), &ends);
        held = board.lock().expect(HELD);
        match built {
            Ok(end) => drop(held.ends.insert(number, end)),
            Err(error) => {
                site.tools.stop.stop();
                held.failed.get_or_insert(error);
            }
        }
        changed.notify_all();
    }
}
