//! A team of scoped threads, made anew for every job: slow and simple.
use qint_core::team::{Barrier, Member, Team};

pub(crate) struct Threads(pub(crate) usize);

struct Meeting(std::sync::Barrier);

impl Barrier for Meeting {
    fn wait(&self) {
        self.0.wait();
    }
}

impl Team for Threads {
    fn size(&self) -> usize {
        self.0
    }

    fn run(&self, job: &(dyn Fn(&Member<'_>) + Sync)) {
        let barrier = Meeting(std::sync::Barrier::new(self.0));
        std::thread::scope(|scope| {
            for index in 0..self.0 {
                let barrier = &barrier;
                scope.spawn(move || job(&Member { index, count: self.0, barrier }));
            }
        });
    }
}
