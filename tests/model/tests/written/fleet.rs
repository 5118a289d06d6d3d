#[test]
fn r14_in_slow_a_token_that_this_process_does_not_have_is_usable() {
    use idv_model::names::fleet::*;
    holds(
        worlds::fleet("slow"),
        "opened",
        &[
            Elapse,
            Elapse,
            Elapse,
            Elapse,
            Issue(0, 1),
        ],
    );
}
