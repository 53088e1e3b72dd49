# A scenario without steps and an outline without rows try nothing: not green.
Feature: Plans
  Scenario: to be written

  Scenario Outline: killed at <percent>% of the diff
    Given a VDiff of "move" is running

    Examples:
      | percent |

  Scenario: written
    Given a source keyspace "commerce" and a target keyspace "customer"
