# Only \n, \| and \\ are escapes in a cell.
Feature: Backslash
  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"

  Scenario Outline: killed <point>
    Given the target tablet will be killed <point>
    And a workflow "move" from "commerce" to "customer"
    And a VDiff of "move" is running
    When the crash points are behind it
    Then every invariant holds

    Examples:
      | point                                             |
      | before the 2nd "select \"x\" from t" to its MySQL |
