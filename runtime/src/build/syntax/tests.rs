//! Lines to nodes.

use super::*;

fn nodes(text: &str) -> Vec<Node> {
    parse(text.as_bytes()).unwrap().nodes
}

#[test]
fn a_node_is_a_name_flags_and_the_rest() {
    let nodes = nodes("  copy --from=a --link \\\n  x   y  \n");
    let [node] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert!(node.is("COPY"));
    assert_eq!(node.flags.iter().map(Word::as_str).collect::<Vec<_>>(), ["--from=a", "--link"]);
    assert_eq!(node.rest.as_str(), "x   y");
    assert_eq!((node.at.start.line, node.at.start.column), (1, 3));
    assert_eq!((node.rest.whole().start.line, node.rest.whole().start.column), (2, 3));
    assert_eq!((node.at.end.line, node.at.end.column), (2, 10));
}

#[test]
fn heredocs_follow_the_instruction_in_the_order_of_their_marks() {
    let nodes = nodes("FROM a\nCOPY <<A <<-B /x/\n1\nA\n\t2\n\tB\nRUN b\n");
    assert_eq!(nodes.len(), 3);
    let contents: Vec<String> = nodes[1].heredocs.iter().map(Heredoc::content).collect();
    assert_eq!(contents, ["1\n", "2\n"]);
    assert_eq!(nodes[1].at.end.line, 6);
}

#[test]
fn only_run_copy_and_add_have_heredocs_and_arrays_have_none() {
    assert_eq!(nodes("CMD cat <<EOF\nRUN b").len(), 2);
    assert_eq!(nodes("RUN [\"cat\", \"<<EOF\"]\nRUN b").len(), 2);
    assert_eq!(nodes("ONBUILD COPY <<EOF /x\nhi\nEOF\nRUN b")[0].heredocs.len(), 1);
    assert_eq!(nodes("RUN echo '<<EOF'\nRUN b").len(), 2);
}

#[test]
fn marks_behind_a_continued_line_are_found() {
    let nodes = nodes("RUN cat \\\n  <<EOF\nhi\nEOF\n");
    assert_eq!(nodes[0].heredocs[0].body.text, "hi\n");
}

#[test]
fn an_instruction_has_a_greatest_number_of_heredocs() {
    let line = format!("COPY {} /x/", "<<E ".repeat(HEREDOCS_MAX + 1));
    assert!(parse(line.as_bytes()).unwrap_err().message.contains("more than 64 heredocs"));
}
