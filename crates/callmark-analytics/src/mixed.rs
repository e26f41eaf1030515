//! Which channel holds both sides of a call, where one does: the same for recordings and for live calls.

use callmark_types::ChannelRole;

/// The channel that both sides share, and how many voices are sure to be on it: two on one told to be mixed, one on the
/// only channel of a recording of which nothing is told.
pub fn mixed_channel(channels: usize, roles: &[Option<ChannelRole>]) -> Option<(u16, u8)> {
    let role = |channel: usize| roles.get(channel).copied().flatten();
    let told = (0..channels).find(|c| role(*c) == Some(ChannelRole::Mixed)).map(|c| (c as u16, 2));
    told.or_else(|| (channels == 1 && role(0).is_none()).then_some((0, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_of_which_nothing_is_told_may_hold_both_sides() {
        assert_eq!(mixed_channel(1, &[]), Some((0, 1)));
        assert_eq!(mixed_channel(1, &[Some(ChannelRole::Customer)]), None);
        assert_eq!(mixed_channel(2, &[]), None);
    }

    #[test]
    fn a_channel_told_to_be_mixed_holds_two_voices() {
        assert_eq!(mixed_channel(1, &[Some(ChannelRole::Mixed)]), Some((0, 2)));
        assert_eq!(mixed_channel(2, &[None, Some(ChannelRole::Mixed)]), Some((1, 2)));
    }
}
