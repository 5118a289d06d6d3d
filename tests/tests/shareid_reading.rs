//! What reading a ShareID result costs.

use idv_core::http::{Answer, Headers};
use idv_core::json::Body;
use idv_core::provider::Provider;
use idv_core::secret::Secret;
use idv_core::shareid::{Account, Document, Flow, OcrField};

/// A result whose images take `image` bytes each.
fn result(image: usize) -> String {
    let image = "A".repeat(image);
    let ocr: Vec<String> =
        OcrField::ALL.iter().map(|field| format!("\"{}\": \"value\"", field.as_str())).collect();
    format!(
        r#"{{"applicant_id": "ap-20231029101303909-dev0-24fa8d9e36", "reasons": ["doc_expired", "no_face"],
            "customer_data": {{"internal_id": "2c2-2c8a-4a19"}},
            "document": {{"type": {{"doc_type": "passport", "doc_model": "2006", "country_code": "fr"}}, "ocr": {{{}}},
            "doc_front": "{image}", "doc_back": "{image}", "face_face": "{image}", "face_doc": "{image}"}}}}"#,
        ocr.join(", ")
    )
}

#[test]
fn a_4_kb_result_is_read_with_a_handful_of_allocations_whatever_its_size() {
    let account =
        Account::new("https://api.example", Flow::Onboarding, Secret::from("hash"), Secret::from("key"))
            .unwrap();
    for image in [800, 800_000] {
        let body = result(image);
        let answer = Answer { status: 200, headers: Headers(&[]), body: body.as_bytes() };
        let id = "ap-20231029101303909-dev0-24fa8d9e36";

        let pull =
            allocation_counter::measure(|| drop(std::hint::black_box(account.read_pull(id, &answer, None))));
        assert!(pull.count_total <= 8, "a pull: {} allocations", pull.count_total);
        assert!(pull.bytes_max < 4_096, "a pull: {} bytes", pull.bytes_max);

        let view = allocation_counter::measure(|| {
            let body = Body::new(body.as_bytes());
            let document = Document::new(body.object(&[]).object);
            let data = document.data();
            let read = OcrField::ALL.into_iter().filter(|field| data.ocr(*field).is_some()).count();
            assert_eq!(read, OcrField::ALL.len());
            std::hint::black_box((
                data.doc_type(),
                document.applicant_id(),
                document.reasons().codes().count(),
            ));
        });
        assert!(view.count_total <= 4, "a view: {} allocations", view.count_total);

        let mut check = account.check_callback(Headers(&[]));
        check.update(body.as_bytes());
        let checked = check.finish();
        let callback = allocation_counter::measure(|| {
            drop(std::hint::black_box(account.read_callback(body.as_bytes(), &checked)))
        });
        assert!(callback.count_total <= 4, "a callback: {} allocations", callback.count_total);
    }
}
