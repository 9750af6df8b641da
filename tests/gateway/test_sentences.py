"""Sentences: cut only where one ends; nothing is lost, and each piece can be said."""
# ruff: noqa: RUF001  # every language's marks are meant as they stand

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.spoken import can_be_spoken
from gateway.routing.sentences import LEAST_CHARACTERS, sentences

# `|` is where a cut is due. Pieces are long enough here, so that each cut shows.
TEXTS = [
    # Plain ends.
    "The first sentence is this one. |The second one follows this. |The third one is the last.",
    "Did you see where the cat went? |It was here a moment ago! |It is gone now, I'm afraid...",
    "Wait until the very last of them is in... |Then close the door behind you, please.",
    "What on earth do you think you are doing?! |Put that down this very instant, please.",
    "A line without a full stop at its end\n\n|A paragraph that follows after an empty line",
    "The list is long and has many things\n - on it, and a single break is no end of it",
    "The next paragraph starts in lower case.\r\n\r\n|as some people like to write them nowadays.",
    # Quotes and brackets belong to what they close.
    '"I shall never come back to this house." |"You said the same thing only last year!"',
    "(This whole sentence stands in brackets.) |[And so does the one after it, in others.]",
    "“Are you sure about all of this?” she asked him. |“I am as sure as one can ever be.”",
    "He said “no” and meant it, as he always did. |Nobody dared to ask him a second time.",
    "Have you ever heard of Walter Smith Jr? |He has been dead for years, they say.",
    # Full stops that end no sentence.
    "Dr. Smith and Mrs. Jones met Prof. Brown at St. Mary's on Fifth Ave. last week, they say.",
    "Use simple tools, e.g. a hammer, i.e. the one of J. R. R. Tolkien and of George W. Bush.",
    "The U.S. Government and the U.K. Parliament met at 5 p.m. London time, vs. noon elsewhere.",
    "It costs 3.14 dollars at example.com/a.b?c=d! or v1.2.3 of it, and No. 5 is 1.000.000,5.",
    "Well... maybe she was right... and maybe not, who can say… after all of these years.",
    "That is what Yahoo! and Who? are called - a name may have a mark in it, as these have.",
    "The answer is in chapter 17. Nobody has ever read as far as that.",  # in doubt there is no cut
    "1. Take the eggs from the box. |2. Beat them until they foam. |3. Leave them for an hour.",
    "Read it all at https://example.com/index.html. |Then write to me at me@example.com, please.",
    # Other languages.
    "Am 3. Oktober traf Dr. Weiß z.B. die Fr. Müller. |Danach ging er bzw. fuhr er nach Hause.",
    "»Kommst du heute noch zu uns?« fragte er sie. |»Nein, heute komme ich nicht mehr.«",
    "« Vous êtes sûre de tout cela ? » demanda-t-il. |« Mais oui, M. Dupont, tout à fait ! »",
    "« Êtes-vous bien sûre de tout cela ? » |« Mais oui, je suis tout à fait sûre ! »",
    "¿Quién sabe lo que va a pasar mañana? |¡Nadie lo sabe, Sra. García, se lo aseguro!",
    "—¡Ven aquí ahora mismo, por favor! —dijo ella. |—No puedo ir, tengo mucho que hacer.",
    "Он приехал в город в 1999 г. и жил на ул. Пушкина. |Потом он уехал и не вернулся.",
    "今日はとてもお天気がいいので、散歩に行きましょう。|明日は雨が降るかもしれないと、さっきラジオで聞きましたからね。",
    "「もう二度とここには戻ってきません。」と彼は静かに言いました。|「それは残念です、本当に残念です。」と彼女はとても小さい声で答えた。",
    "「もう二度とここには戻ってきません、どうかお元気で。」|「それは残念です、いつかまたお会いしましょうね、きっと。」",
    "今天天气很好，我们一起出去散步吧，好不好，你说呢？|明天可能会下雨，所以我们今天一定要去，不然来不及了！",
    "네. 저는 오늘 학교에 가서 친구를 만났습니다. |우리는 점심을 맛있게 먹고 집에서 공부했습니다.",
    "그가 어제 내게 해 준 말은 다 이것뿐이었지 뭐. |그래서 나는 아무 말 없이 혼자 집으로 돌아왔다.",
    "هل تعرف ما الذي سيحدث غدا في المدينة؟ |لا أحد يعرف ذلك حتى الآن يا صديقي.",
    "मैं आज सुबह बहुत जल्दी उठ गया था। |फिर मैं अपने दोस्त के साथ बाज़ार गया था।",
    "Ես այսօր առավոտյան շատ շուտ եմ արթնացել։ |Հետո ընկերոջս հետ գնացի շուկա։",
    "ฉันตื่นแต่เช้าตรู่ในวันนี้ แล้วไปตลาดกับเพื่อน ไม่มีจุดจบประโยคที่นี่เลย",
    # Short pieces go with the next, the last with the one before.
    "Yes. No. Perhaps. Who can tell me that now? |I certainly can not tell you. Sorry.",
    "Hello! Bye!",
    "Yes.                                        That is what I have always said.",
    "네. 네. 아니요.",
    # What cannot be said goes with a neighbour.
    "... ... ... ... ... ... ... ... And then somebody spoke. |It was not me who did, you know.",
    "This is all that can be said. ?!?!? ?!?!? ?!?!? ?!?!? ?!?!? ?!?!? ?!?!? ?!?!? ?!?!?",
    "Well then. ... ... ... ... ... |And so it went on for long enough.",
    "!!! ??? ... !!! ??? ... !!! ??? ... !!! ??? ...",
    " \n\n \n\n ",
    "",
    # Markup is one document.
    "<speak>This is the first of two sentences. This one is the second of the two.</speak>",
    '\n<?xml version="1.0"?>\n<speak>Here is the first sentence. This is the second one.</speak>',
    "<speaker> says this whole sentence to us. |And so it is that this is no document at all.",
]


@pytest.mark.parametrize("marked", TEXTS)
def test_a_text_is_cut_where_its_sentences_end(marked: str) -> None:
    text = marked.replace("|", "")
    assert sentences(text) == [each for each in marked.split("|") if each]


# Words and marks that meet in every order find more than letters by lot do.
parts = st.sampled_from(
    [*".!?…。！?؟।\"'”»«)」 \n\t", "\n\n", " ", "a", "B", "word", "字", "네", "7", "Dr", "e.g",
     "<speak>", "€", "😀", "-", "\u00a0", "https://a.b/c", "and some more of it"]
)  # fmt: skip
texts = st.text(max_size=100) | st.lists(parts, max_size=60).map("".join)


@given(texts)
def test_nothing_is_lost_and_nothing_is_added(text: str) -> None:
    pieces = sentences(text)
    assert "".join(pieces) == text
    assert all(pieces)


@given(texts)
def test_every_piece_can_be_said_where_anything_can(text: str) -> None:
    pieces = sentences(text)
    assert len(pieces) <= 1 or all(can_be_spoken(piece) for piece in pieces)


@given(texts)
def test_no_piece_is_too_short_for_a_call_but_an_only_one(text: str) -> None:
    pieces = sentences(text)
    assert len(pieces) <= 1 or all(len(piece.strip()) >= LEAST_CHARACTERS for piece in pieces)


@given(st.lists(st.sampled_from([t.replace("|", "") for t in TEXTS[:6]]), min_size=1))
def test_paragraphs_are_cut_as_each_would_be_alone(paragraphs: list[str]) -> None:
    alone = [piece.strip() for each in paragraphs for piece in sentences(each)]
    together = sentences("\n\n".join(paragraphs))
    assert [piece.strip() for piece in together] == alone


HOSTILE = [
    ".", "。", '"', '."', ". »", " ", "\n", "\n ", "\r\n", ". ", "a.", "A. ", "Dr. ", "。」", "a",
    "\u0301", "<speak>", " -", ".\u00a0",
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", HOSTILE)
def test_a_megabyte_of_anything_is_read_in_no_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit)) + "a"
    assert "".join(sentences(text)) == text
