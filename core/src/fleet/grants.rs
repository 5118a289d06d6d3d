//! What is due: timers, permission to call (R13), news of refused credentials (R14), and the spreading of a gap in listening (R9).

use super::account::{Account, Door};
use super::{AccountId, Action, At, Fleet, Wake, index};
use crate::machine::{Machine, Next};
use crate::poller::Class;
use crate::time::Instant;
use crate::{session, token};

impl Fleet {
    /// Does what is due, at most `work` steps of it (at least one), beside one look at each account and door.
    pub fn run(&mut self, at: At, work: u32, out: &mut impl FnMut(Action)) -> Wake {
        for account in 0..index(self.accounts.len()) {
            if self.account_timer(account).is_some_and(|due| due <= at.now) {
                self.step_token(at, account, token::Input::Tick, out);
            }
        }
        // Whoever is told of a gap has to be saved before it is permitted anything, so permission comes with the next call.
        let told_of_gap = self.gap.is_some();
        for _ in 0..work.max(1) {
            let worked = self.run_timer(at, out) || self.tell_refused(at, out) || self.run_gap(at, out);
            if !worked && told_of_gap {
                return Wake::More;
            }
            if !worked && !self.run_grant(at, out) {
                return self.wake();
            }
        }
        // Whether there is more shows only when it is looked for: an open door has no timer to wait for.
        Wake::More
    }

    /// The next timer that is due, if one is.
    fn run_timer(&mut self, at: At, out: &mut impl FnMut(Action)) -> bool {
        let Some((_, slot)) = self.timers.first().filter(|(due, _)| *due <= at.now) else {
            return false;
        };
        match self.sessions.in_slot(slot).flatten() {
            Some(key) => {
                self.step(at, key, session::Input::Tick, out);
            }
            None => self.timers.set(slot, None),
        }
        true
    }

    /// One session that waits for a token which will never come ends.
    fn tell_refused(&mut self, at: At, out: &mut impl FnMut(Action)) -> bool {
        let waiting = self
            .accounts
            .iter()
            .filter(|account| account.token.is_refused())
            .find_map(Account::longest_waiting);
        if let Some((_, key)) = waiting {
            self.step(at, key, session::Input::CredentialsRefused, out);
        }
        waiting.is_some()
    }

    /// One call at one door that admits it: a token request, or the pull whose turn it is.
    fn run_grant(&mut self, at: At, out: &mut impl FnMut(Action)) -> bool {
        for door in 0..index(self.doors.len()) {
            let Some(state) = self.doors.get(door as usize).filter(|door| door.admits(at.now)) else {
                continue;
            };
            let token_first = state.prefers_token();
            let granted = (token_first && self.grant_token(at, door, out))
                || self.grant_pull(at, door, out)
                || (!token_first && self.grant_token(at, door, out));
            if granted {
                return true;
            }
        }
        false
    }

    fn grant_token(&mut self, at: At, door: u32, out: &mut impl FnMut(Action)) -> bool {
        // Where sessions wait, make the wish known; a token that can be used takes no notice.
        for account in 0..index(self.accounts.len()) {
            let waiting = self
                .accounts
                .get(account as usize)
                .is_some_and(|account| account.door == door && account.has_work());
            if waiting {
                self.step_token(at, account, token::Input::Wanted, out);
            }
        }
        let asking = (0u32..)
            .zip(&self.accounts)
            .find(|(_, account)| account.door == door && account.asks_for_token())
            .map(|(account, _)| account);
        let Some(account) = asking else {
            return false;
        };
        if let Some(door) = self.doors.get_mut(door as usize) {
            door.granted_token(at.now);
        }
        self.step_token(at, account, token::Input::Granted, out);
        true
    }

    fn grant_pull(&mut self, at: At, door_index: u32, out: &mut impl FnMut(Action)) -> bool {
        let Some(door) = self.doors.get_mut(door_index as usize) else {
            return false;
        };
        let served = || {
            self.accounts
                .iter()
                .filter(|account| account.door == door_index && account.usable(at.now).is_some())
        };
        // Within a class the longest wait goes first, whosesoever it is.
        let longest = |class: Class| {
            served().filter_map(|account| account.first(class)).min().map(|(_, key)| (class, key))
        };
        let Some((class, key)) = door.turn().into_iter().find_map(longest) else {
            return false;
        };
        let audits = longest(Class::Audit).is_some();
        door.granted(at.now, class, audits);
        self.step(at, key, session::Input::Granted, out);
        true
    }

    fn run_gap(&mut self, at: At, out: &mut impl FnMut(Action)) -> bool {
        let Some(reached) = self.gap else {
            return false;
        };
        let Some(slot) = self.sessions.in_slot(reached) else {
            self.gap = None;
            return false;
        };
        self.gap = Some(reached + 1);
        if let Some(key) = slot
            && self.sessions.get(key).is_some_and(|live| live.session.is_settled())
        {
            self.step(at, key, session::Input::Hint(Class::Audit), out);
        }
        true
    }

    fn wake(&self) -> Wake {
        let session = self.timers.first().map(|(due, _)| due);
        let accounts = (0..index(self.accounts.len())).filter_map(|account| self.account_timer(account));
        let doors = (0u32..)
            .zip(&self.doors)
            .filter(|(index, _)| {
                self.accounts.iter().any(|account| account.door == *index && account.waits_at_the_door())
            })
            .filter_map(|(_, door)| door.opens());
        session.into_iter().chain(accounts).chain(doors).min().map_or(Wake::Input, Wake::At)
    }

    fn account_timer(&self, account: u32) -> Option<Instant> {
        let account = self.accounts.get(account as usize)?;
        match account.token.next(&account.policy.token) {
            Next::At(at) => Some(at),
            Next::Input | Next::Over => None,
        }
    }

    /// Adds to an account's open sessions, and says where there are too many for the door that they share.
    pub(super) fn count_open(&mut self, account: u32, by: i32, out: &mut impl FnMut(Action)) {
        let Some(counted) = self.accounts.get_mut(account as usize) else {
            return;
        };
        counted.open = counted.open.saturating_add_signed(by);
        let door = counted.door;
        let Some(interval) = self.doors.get(door as usize).map(Door::interval) else {
            return;
        };
        let behind = || self.accounts.iter().filter(|account| account.door == door);
        let calls = behind().fold(0u32, |sum, account| sum.saturating_add(account.calls_per_round()));
        for (index, account) in (0u32..).zip(&mut self.accounts).filter(|(_, account)| account.door == door) {
            let (expected, deadline) =
                (account.expected(interval, calls), account.policy.session.poller.deadline());
            let crowded = account.open > 0 && expected.times(3) > deadline;
            if crowded && !account.crowded {
                out(Action::Crowded { account: AccountId(index), expected, deadline });
            }
            account.crowded = crowded;
        }
    }
}
