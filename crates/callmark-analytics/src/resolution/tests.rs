//! The table, walked.

use super::*;

fn walk(signs: &[Sign]) -> State {
    signs.iter().fold(Open, |state, sign| next(state, *sign))
}

#[test]
fn no_state_and_sign_stand_twice_in_the_table() {
    for (i, row) in TABLE.iter().enumerate() {
        assert!(TABLE[..i].iter().all(|r| (r.0, r.1) != (row.0, row.1)), "{row:?}");
        assert_ne!(row.0, row.2, "{row:?} changes nothing");
    }
}

#[test]
fn stories_end_where_the_table_says() {
    let stories: &[(&[Sign], State)] = &[
        (&[Delivered, Confirmed], Settled),
        (&[Delivered, Accepted], Settled),
        (&[Accepted], Settled),
        (&[Failed, Accepted], NotPossible),
        (&[Delivered, Denied, Accepted], Reopened),
        (&[HandedOver, StaysOn], Open),
        (&[Delivered], Fixed),
        (&[Delivered, Confirmed, Denied], Reopened),
        (&[Delivered, Denied, Delivered, Confirmed], Settled),
        (&[Failed], NotPossible),
        (&[Delivered, Failed], NotPossible),
        (&[HandedOver], Waiting),
        (&[HandedOver, PersonSpeaks], Open),
        (&[HandedOver, PersonSpeaks, Delivered, Confirmed], Settled),
        (&[HandedOver, Delivered], Fixed),
        (&[HandedOver, GaveUp], Abandoned),
        (&[HandedOver, Accepted], Waiting),
        (&[Delivered, GaveUp], Fixed),
        (&[Despaired], Abandoned),
        (&[Delivered, Despaired], Reopened),
        (&[Failed, Despaired], Abandoned),
        (&[Denied, Despaired], Abandoned),
        (&[HandedOver, Despaired], Abandoned),
        (&[Despaired, Delivered, Confirmed], Settled),
        (&[Confirmed, Despaired], Settled),
        (&[Denied, GaveUp], Abandoned),
        (&[Confirmed, Confirmed, GaveUp], Settled),
    ];
    for (signs, end) in stories {
        assert_eq!(walk(signs), *end, "{signs:?}");
    }
}
