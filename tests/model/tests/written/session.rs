#[test]
fn r10_in_crash_a_restart_forgot_a_reason_to_pull() {
    use idv_model::names::session::*;
    holds(
        worlds::session("crash"),
        "TrustSigned",
        &[
            (Change(Accepted), Lives),
            (Arrive(0), Lives),
            (StoreFails(0), DiesAfterSave),
        ],
    );
}
