# language: de
Funktionalität: Auf Deutsch
  Die Schlüsselwörter sind deutsch, die Schritte bleiben englisch.

  Grundlage:
    Angenommen a source keyspace "commerce" and a target keyspace "customer"
    Und a workflow "move" from "commerce" to "customer"

  Szenario: bei der Hälfte getötet
    Angenommen a VDiff of "move" is running
    Wenn the target tablet is killed at 50% of the diff
    * the supervisor restarts it
    Dann the VDiff resumes by itself and completes within 60 seconds
    Und every invariant holds
