"""Phenomena of language: for each, sentences that have it and near misses that do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.phenomena import MANY_PIECES, PHENOMENA, RARE_WORDS_RULE, PhenomenaOf, pieces_table, spans_of
from pipeline.models import load_tokenizer

# Sentences stand between slashes.
HAVE = {
    "contrast": """
        I LOVE YOU but you dnt love me / slow but good / it is short , but it drags .
        / The food was fine. But the wait! / a warm yet honest book / it is cheap and yet it lasts
        / Great cast. Yet nothing works. / i luv it bt its 2 long / The room was big; however, it smelled.
        / He is no actor. However, he can sing. / a bore, though it looks good
        / I laughed, however, the joke was old / funny , but not very funny / dull though well meant
        / all good but one / Nobody came, but we had fun / not clever but kind / we had fun but could have had more""",
    "concession": """
        although it is slow , it works / Although tired, they sang. / it works although it is slow
        / even though i cried / I stayed even though it rained / though short , it drags
        / It is long. Though slow, it works. / despite itself / despite its flaws the book is good
        / a fine meal in spite of the noise / In spite of all, we left happy. / altho cheap , it lasts
        / the cast , despite a poor script , shines / he won despite the odds / Despite the price, go.
        / good, although pricey / it is long and though slow , it works""",
    "negation": """
        it is not good / it is n't good / it isn’t good / you dnt love me / i cant stand it / no plot , no fun
        / never a dull moment / neither here nor there / nothing works / nobody laughed / a film without charm
        / it lacks wit / a lack of ideas / it fails to move us / far from perfect / anything but dull / I cannot say
        / Dont go there / no one came / he ain't bad / the jokes are devoid of wit / it never ends / i wont be back""",
    "bare_contraction": """
        you dnt love me / I dont know / i cant stand it / it wont last / it doesnt work / it isnt bad / he aint here
        / Im so happy / ive seen it twice / thats all / theyre late / it didnt help / we havent met / youre right
        / it wasnt me / Whats this / u shouldve come / is nt it""",
    "double_negation": """
        not without charm / it never fails to please / it is not bad / it isn't dull at all / nobody did not laugh
        / you can't not love it / not a bad film / never boring / he does not lack talent / it is not that bad
        / it was n't terrible / no one can say it is not fun / not even very silly / i dont hate it
        / it is n't unpleasant / no bad jokes / it can't fail to move you""",
    "comparative": """
        better than the book / worse than expected / it is more fun than school / funnier than most
        / less than perfect / as good as it gets / as clear as day / a far better film than the last
        / he is older than she is / as dull a book as i have read / fewer jokes than tears
        / This one is cheaper than that. / bigger , louder than ever / as much fun as a funeral
        / more style than sense / as exciting as a sunburn""",
    "used_to": """
        it used to be good / he used to make us laugh / films used to be shorter / they used to care
        / it could have been worse / I should have stayed home / that would have helped / it might have worked
        / they should n't have bothered / it would've been fun / you couldn't have done better / i shoulda known
        / it could easily have won / the place that used to be nice / it should not have won / you would of loved it""",
    "intensifier": """
        very good / a really bad film / so funny / it is extremely slow / such a waste / too long / quite nice
        / absolutely awful / the very best / truly great / it is so much fun / I totally agree / highly praised
        / a deeply sad book / pretty good / the staff are incredibly kind / utterly and completely lost""",
    "diminisher": """
        barely alive / it hardly matters / somewhat slow / a bit long / slightly odd / a little too long
        / pretty faces and little else / little more than a sketch / i am kind of bored / it is sort of fun
        / almost good / nearly perfect / rather dull / it rarely works / offers little to love / kinda nice
        / it helps a little""",
    "question": """
        is it good ? / why ? / Who cares? / do you like it / why do we bother / did they even try / what is this
        / how can anyone like it / can it get worse / a classic ? hardly . / "Why me?" he asks / will it last
        / isn't it lovely / ... is there a plot / Really?! / how do they do it""",
    "fragment": """
        bad / on cable / very bad . / oh come on . / lovely and poignant . / it 's just filler . / Yawn! / a bore ?
        / does n't work / i love it / 10/10 / state-of-the-art / good , bad / so so / !! wow !! / 5 stars""",
    "names_only": """
        jason bourne , 2002 / Jason Bourne / steven seagal / Tom Hanks and Meg Ryan / robert de niro / JIM CARREY
        / david letterman and / Paris, 1968 / London / Lord of Mordor / Ms. Redgrave / Dr. Seuss / (Orlando Jones)
        / alfred hitchcock 's / Vin Diesel / Spielberg""",
    "misspelling": """
        it is sooo good / waaay too long / gr8 film / i luv it / definately worth it / dissapointed / a wierd book
        / you dnt love me / it was awsome / u were right / the begining is slow / Hmmm / plz stop / terible acting
        / SOOOOO GOOD / thx a lot / recieved late / teh end / i beleive so""",
    "mixed_polarity": """
        good but slow / a dull film with a great cast / I love it and hate it / bad food , nice staff
        / not bad , but fun / funny and boring / Lovely rooms, rude staff / a brilliant mess
        / awful , then wonderful / beautiful trash / a charming failure / smart yet clumsy / weak plot , strong cast
        / the best of the worst / ugly and delightful / clichéd and sweet""",
}  # fmt: skip
LACK = {
    "contrast": """
        nothing but praise / all but dead / anything but dull / not only funny but smart / not just bad but vile
        / yet another bore / it is not yet out / it has yet to open / as yet unnamed / it has n't opened yet .
        / however long it takes / even though it rained we went / it is as though he slept / but it does not work
        / good , but / Though slow, it works. / I liked it, though. / I could not help but laugh
        / there is no option but to go / no one but him came / The story, however, is dull.""",
    "concession": """
        it is as though he slept / thorough and thoughtful / I liked it, though. / funny, though slow
        / tough and rough / out of spite / for all its flaws / he thought it good / while slow , it works
        / nevertheless it works / not bad , however / yet it works / a spiteful man / but it works
        / still , it works / no matter what""",
    "negation": """
        not only funny / no doubt about it / No. 1 in the charts / nothing but praise / I cannot help laughing
        / I can't wait / it knots / a notable film / without a doubt the best / why not / a never-ending story
        / no-nonsense cop / hardly any fun / barely alive / like it or not / Windows NT / as is his wont
        / nothing less than great / no wonder it won / he failed / novel and normal / isn't just good""",
    "bare_contraction": """
        I don't know / i can’t stand it / do n't go / as is his wont / he was wont to sing / Windows NT
        / AOL IM users / its plot / were we / ill at ease / shed a tear / well done / lets go / the front rent
        / it cantered off / she is hungry / a wonted calm / don t go""",
    "double_negation": """
        not good / no plot , no fun / neither here nor there / it is bad / without wit / not only bad
        / no doubt it is bad / never good , never apt / it is not good but it is not long / nothing works
        / not very good / not yet seen / i dont like it / no plot no wit no fun / not funny , just dull
        / it lacks charm / nor is it long""",
    "comparative": """
        rather than wait / other than that / as well as funny / as soon as it ends / more fun / better late
        / as a film it works / more than 20 minutes / as long as it lasts / the best of all / no sooner said
        / thank you / as far as i know / a better film / as he is as a man / less is more / more often than not
        / never other than kind""",
    "used_to": """
        i am used to it / we got used to the noise / tools used to make films / it would have to be good
        / a used book / she was used to winning / he used too much / you would have a good time / could have a point
        / it would be good / i have used it / money used to fund this / they use it to sell / it might be good
        / that should do / would you""",
    "intensifier": """
        the very end / that very moment / so far / so they left / it , too / me too / so what / so-called stars
        / every one / so that we laugh / and so on / pretty faces / such films / it is real / the pretty girl
        / i think so . / so i left / his very soul""",
    "diminisher": """
        rather than wait / i 'd rather go / but rather dreamy /
        a kind of magic / this kind of film / a little girl / the little man
        / my little pony / a big bit part / kind people / all sorts / what sort of film / the same kind of joke
        / he bit me / a sweet little film / mere minutes / fair play / an odd kind of comedy""",
    "question": """
        what a film / why it works / how sweet / who cares / when it works , it works / the question is open
        / it is good . / had it been longer / x.com/?id=3 / is a good film / what is really good / is that it drags
        / have fun / does not work / do not go / where the wild things are / will smith""",
    "fragment": """
        it does not work / a very bad film / on cable and dvd / i do n't love it / good , bad and ugly
        / one two three four / ... / ! / the end of it / it was a bore / This is not good. / :-) / so it goes on
        / nobody will care now / , / you 'll love this one""",
    "names_only": """
        jason is great / a film by spielberg / Great Movie / The Worst / it / robert harmon 's approach
        / the john wayne classics / urban satire / Boring / Jason Bourne returns / 2002 / ( 1999 )
        / celluloid heaven / Oh No / paul writing / jim brown moves / Tom hanks / I""",
    "misspelling": """
        it is so good / it was awesome / World War III / XXX / www.site.com / a too-good cast / U.S. viewers
        / BT Group / committee / i don't / the IEEE / colour / 3rd place / the 1980s / mp3 / well , hello
        / Southwest (LUV) / bookkeeper / http://aaa.org/""",
    "mixed_polarity": """
        good and nice / bad and dull / a film / good / it is not good / awful , just awful / love it
        / a badge of goods / lovely , warm , kind / the plot of the book / hated every minute
        / Great cast, great fun / _bad_ good / slow , slower / so-so / a boredom""",
}  # fmt: skip


def cases(sentences: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, text.strip()) for name, texts in sentences.items() for text in " ".join(texts.split()).split(" / ")]


@pytest.mark.parametrize("name, text", cases(HAVE))
def test_it_is_found(name: str, text: str) -> None:
    assert name in spans_of(text)


@pytest.mark.parametrize("name, text", cases(LACK))
def test_a_near_miss_is_let_pass(name: str, text: str) -> None:
    assert name not in spans_of(text)


def test_every_phenomenon_is_tested_on_15_sentences_both_ways() -> None:
    for sentences in (HAVE, LACK):
        names = [name for name, _ in cases(sentences)]
        assert {name: names.count(name) >= 15 for name in PHENOMENA} == dict.fromkeys(PHENOMENA, True)


ODD = ["", " ", "\n", "né pas", "ÉMILE", "Émile", "cliché but love", "a\u0301not good", "\U0001f600?", "_not_"]


def test_the_table_says_what_the_spans_say() -> None:
    texts = [text for _, text in cases(HAVE) + cases(LACK)]
    texts += ODD + [text.upper() for text in texts] + [" ".join(texts[row : row + 9]) for row in range(0, 400, 9)]
    found = [spans_of(text) for text in texts]
    expected = np.array([[name in spans for name in PHENOMENA] for spans in found])
    phenomena = PhenomenaOf(texts)
    assert (np.stack([phenomena[name] for name in phenomena], axis=1) == expected).all()
    assert {name: found.tolist() for name, found in PhenomenaOf([]).items()} == {name: [] for name in PHENOMENA}


def test_a_phenomenon_is_looked_for_when_it_is_asked_for_and_once() -> None:
    phenomena = PhenomenaOf(["not good"])
    assert "negation" in phenomena and "irony" not in phenomena and not phenomena.known
    assert phenomena["negation"] is phenomena["negation"] and list(phenomena.known) == ["negation"]


@pytest.mark.parametrize("name, text, cues", [
    ("negation", "it does n't work and I won’t stay", ["does n't", "won’t"]),
    ("contrast", "slow and yet good", ["and yet"]),
    ("concession", "even though slow , in spite of all", ["even though", "in spite of"]),
    ("double_negation", "not a bad film", ["not", "bad"]),
    ("comparative", "far more interesting than the book", ["more interesting than"]),
    ("used_to", "it should n't have won", ["should n't have"]),
    ("intensifier", "so very good", ["so", "very"]),
    ("diminisher", "a bit slow and little else", ["a bit", "little"]),
    ("question", "... do you care ?", ["do you", "?"]),
    ("fragment", " on cable ", ["on cable"]),
    ("misspelling", "sooo gr8 , dont", ["sooo", "gr8", "dont"]),
    ("mixed_polarity", "great , not dull", ["great", "dull"]),
])
def test_spans_are_of_the_cue_words(name: str, text: str, cues: list[str]) -> None:
    assert [text[start:end] for start, end in spans_of(text)[name]] == cues


def test_a_rule_is_one_sentence() -> None:
    for rule in [RARE_WORDS_RULE, *(phenomenon.rule for phenomenon in PHENOMENA.values())]:
        assert rule[0].isupper() and rule.endswith(".") and ". " not in rule


RARE = """
    zebra / good zebra / a jolly film / goodslys / funslyslyly / a dullslyslys scene / good, bad; ugly / love me
    / \U0001f600 / 電影 / gr8 / goodish / it was odd / filmsssly / badlyslys bad
"""
FAMILIAR = """
    good / goods / goodly / goodsly / a good film / films / badly / the story was dull / you love a film / not bad
    / GOOD / scenes / very very very good / i love it but it was not good / dull dull dull dull dull
"""


def test_rare_words_are_unknown_or_of_four_pieces(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    rare, familiar = cases({"": RARE}), cases({"": FAMILIAR})
    assert MANY_PIECES == 4 and min(len(rare), len(familiar)) >= 15
    found = pieces_table([text for _, text in rare + familiar], tokenizer)
    assert found.tolist() == [True] * len(rare) + [False] * len(familiar)
