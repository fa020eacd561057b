//! Whoever waits for something that takes long.

use std::fmt;

/// Whoever waits: hears how far it has come, and may want it to stop.
#[derive(Clone, Copy)]
pub struct Onlooker<'a> {
    told: &'a dyn Fn(&str),
    stop: &'a dyn Fn() -> bool,
}

/// They wanted it to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted; what was whole by then stays in the cache, and nothing half-made")]
pub struct Interrupted;

impl<'a> Onlooker<'a> {
    /// Hears each step in a line by `told`; `stop` is asked often, and says whether they want it to stop.
    pub fn new(told: &'a dyn Fn(&str), stop: &'a dyn Fn() -> bool) -> Onlooker<'a> {
        Onlooker { told, stop }
    }

    /// One who waits to the end.
    pub fn patient(told: &'a dyn Fn(&str)) -> Onlooker<'a> {
        Onlooker { told, stop: &never }
    }

    /// Tells them how far it has come.
    pub fn tell(&self, line: &str) {
        (self.told)(line);
    }

    /// What says whether they want it to stop.
    pub fn stop(&self) -> &'a dyn Fn() -> bool {
        self.stop
    }

    /// Whether there is any use in going on.
    ///
    /// # Errors
    /// That they want it to stop.
    pub fn go_on(&self) -> Result<(), Interrupted> {
        if (self.stop)() { Err(Interrupted) } else { Ok(()) }
    }

    /// What came of a part of it, but for a wish to stop: that outweighs what failed meanwhile, most likely for that reason.
    ///
    /// # Errors
    /// That of the part, and [`Interrupted`].
    pub fn unless_stopped<T, E: From<Interrupted>>(&self, came: Result<T, E>) -> Result<T, E> {
        self.go_on()?;
        came
    }
}

impl fmt::Debug for Onlooker<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Onlooker")
    }
}

fn never() -> bool {
    false
}
